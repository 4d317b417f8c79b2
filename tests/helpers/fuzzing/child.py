"""The child process of a run: sets itself up and becomes the program, as a new interpreter or as a copy of this one."""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import runpy
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import NoReturn

from fuzzing.case import Case, Fault
from fuzzing.system import CLONE_NEWPID, unshare


def environment(folder: Path) -> dict[str, str]:
    """The program's environment: home, cache and temporary files lie in the case's folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "GPU_SALIENCY_", "PYTEST_"))}
    home = str(folder / "home")
    return kept | {"HOME": home, "XDG_CACHE_HOME": f"{home}/cache", "TMPDIR": str(folder / "tmp"), "COLUMNS": "200"}


def start(case: Case, folder: Path) -> tuple[int, int]:
    """Start the program; returns the process to wait for and the one to send signals to."""
    if not case.fault.pid_namespace:
        pid = os.fork()
        if pid == 0:
            _child(case, folder)
        return pid, pid
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _first_of_namespace(case, folder, write)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        number = stream.read()
    return pid, int(number) if number else pid


def _first_of_namespace(case: Case, folder: Path, write: int) -> NoReturn:
    """Run the program as process 1 of a namespace, and end as it ends."""
    try:
        unshare(CLONE_NEWPID)
        inner = os.fork()
        if inner == 0:
            os.close(write)
            _child(case, folder)
        os.write(write, str(inner).encode())
        os.close(write)
        code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(code)
    finally:
        os._exit(99)


def _child(case: Case, folder: Path) -> NoReturn:
    """In the new process: set everything up and become the program."""
    code = 98
    try:
        os.setsid()
        os.chdir(folder)
        wanted = environment(folder)
        os.environ.clear()
        os.environ.update(wanted)
        _redirect(case.fault, folder / "harness")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGPIPE else signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name, value in case.fault.limits:
            # The copy has mapped all libraries already, so a limit on the address space counts from there.
            mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if name == "RLIMIT_AS" else 0
            resource.setrlimit(getattr(resource, name), (mapped + value, mapped + value))
        if case.fresh:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execve(sys.executable, [sys.executable, "-m", "gpu_saliency", *case.arguments], dict(os.environ))
        code = _be_the_program(case.arguments)
    finally:
        os._exit(code)


def _be_the_program(arguments: list[str]) -> int:
    """What ``python -m gpu_saliency`` does, its end included, in an interpreter that has imported it already."""
    tempfile.tempdir = None  # the harness's own, which Python remembers
    sys.argv = ["gpu-saliency", *arguments]
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, closefd=False) for number in (1, 2))
    code: object = 0
    try:
        runpy.run_module("gpu_saliency", run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code if isinstance(code, int) else code is not None


def _redirect(fault: Fault, folder: Path) -> None:
    none = os.open(os.devnull, os.O_RDONLY)
    os.dup2(none, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        path = "/dev/full" if fault.streams == f"{name}-full" else str(folder / name)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, number)
        os.close(file)
        if fault.streams == f"{name}-full":
            (folder / name).touch()
    os.closerange(3, 256)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if fault.streams == f"{name}-closed":
            os.close(number)
    if fault.streams == "ascii":
        os.environ |= {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}
