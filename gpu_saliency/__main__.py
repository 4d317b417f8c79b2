"""Starts the program: handles signals before the other imports, which take most of a second, then runs the command line."""

import errno
import os
import signal


def _end_at_once(_number: int, _frame: object) -> None:
    """End the process before anything has begun."""
    os.write(2, b"ERROR: interrupted\n")
    os._exit(130)


def _open_missing() -> None:
    """Open ``/dev/null`` for each standard descriptor that is closed, before anything else gets its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one


def main() -> None:
    """Run ``gpu-saliency`` and exit."""
    _open_missing()
    try:
        from gpu_saliency.process import arenas

        arenas.limit_arenas()
        from gpu_saliency.process import signals

        signals.install()
        from gpu_saliency.process import streams

        streams.replace_missing()
        from gpu_saliency.cli import main as run
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        os.write(2, b"ERROR: not enough open files: a limit of this process or machine is reached (raise it (ulimit -n))\n")
        os._exit(69)
    run()


# Imported only to run the program: by the interpreter for -m, or by the installed script.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is not signal.SIG_IGN:
        signal.signal(_number, _end_at_once)

if __name__ == "__main__":
    main()
