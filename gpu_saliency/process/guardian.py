"""A small program that outlives its parent for a moment and cleans up after it: child programs and temporary folders.

It runs as ``python -I -S guardian.py PARENT TOKEN WAKEUP`` with a pipe as standard input, of which the parent holds the other end.
The end of the pipe is the end of the parent, also by SIGKILL, whatever thread started a child. Then every process that has the
variable ``TOKEN`` in its environment is killed, grandchildren included, and the folders that the parent still had are removed.

Messages end with a zero byte: ``+PATH`` and ``-PATH`` for a folder made and removed, ``PPID`` and ``pPID`` for a program started
and ended. ``WAKEUP`` is the read end of the pipe of `signal.set_wakeup_fd`, or -1: a signal that lies there unread shows that no
thread of the parent runs Python code, so the parent can only be killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

_UNREAD_SECONDS = 10.0
"""Seconds that a signal may lie unread before the parent is killed."""
_ROUNDS, _PAUSE = 100, 0.02
"""Most searches for processes, and the seconds between two; a search that finds none ends them."""


def main() -> None:
    parent, token, wakeup = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folders: set[bytes] = set()
    groups: set[int] = set()
    _listen(parent, wakeup, folders, groups)
    for _ in range(_ROUNDS):
        if not _kill(token, groups):
            break
        time.sleep(_PAUSE)
    for folder in folders:
        _remove(folder)


def _listen(parent: int, wakeup: int, folders: set[bytes], groups: set[int]) -> None:
    """Follow the messages until the parent ends."""
    both, pipe = select.poll(), select.poll()
    pipe.register(0, select.POLLIN)
    both.register(0, select.POLLIN)
    if wakeup >= 0:
        both.register(wakeup, select.POLLIN)
    rest = b""
    unread_since: float | None = None
    while True:
        ready = dict((both if unread_since is None else pipe).poll(None if unread_since is None else 500))
        if ready.get(wakeup, 0) & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            both.unregister(wakeup)
            wakeup = -1
        unread = wakeup >= 0 and _is_readable(wakeup)
        unread_since = (unread_since or time.monotonic()) if unread else None
        if unread_since is not None and time.monotonic() - unread_since > _UNREAD_SECONDS and os.getppid() == parent:
            os.kill(parent, signal.SIGKILL)
        if 0 not in ready:
            continue
        data = os.read(0, 65536)
        if not data:
            return
        *messages, rest = (rest + data).split(b"\0")
        for message in messages:
            kind, content = message[:1], message[1:]
            if kind in b"+-":
                (folders.add if kind == b"+" else folders.discard)(content)
            else:
                (groups.add if kind == b"P" else groups.discard)(int(content))


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def _kill(token: str, groups: set[int]) -> bool:
    """Kill the process groups, and all processes that have ``token`` in their environment; returns whether there were any."""
    found = False
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
            found = True
    mark = token.encode() + b"="
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():  # noqa: PTH112, PTH208 - pathlib takes 10 ms to import
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123 - as above
                has_token = any(entry.startswith(mark) for entry in file.read().split(b"\0"))
            if has_token:
                os.kill(int(name), signal.SIGKILL)
                found = True
    return found


def _remove(folder: bytes) -> None:
    for path, folders, files in os.walk(folder, topdown=False):
        for remove, names in ((os.unlink, files), (_remove_folder, folders)):
            for name in names:
                with contextlib.suppress(OSError):
                    remove(os.path.join(path, name))  # noqa: PTH118 - as above
    with contextlib.suppress(OSError):
        _remove_folder(folder)


def _remove_folder(path: bytes) -> None:
    (os.unlink if os.path.islink(path) else os.rmdir)(path)  # noqa: PTH114 - as above


if __name__ == "__main__":
    main()
