"""The few Linux calls that the harness needs and Python 3.11 lacks: child subreaper, namespaces, mounts."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 16384, 1 << 18


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def become_subreaper() -> None:
    """Let orphans of this process's descendants become its children, so that it finds all of them."""
    _checked(_LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags``. Raises `OSError` where that is not allowed."""
    _checked(_LIBC.unshare(flags), "unshare")


def mount_small_disk(folder: Path, kib: int) -> None:
    """Mount an empty tmpfs on ``folder``, in a mount namespace of this process; 0 KiB is read-only. Raises `OSError`."""
    size = f"size={max(kib, 64)}k,mode=777".encode()
    _checked(_LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, size), "mount")
    if kib == 0:
        _checked(_LIBC.mount(None, os.fsencode(folder), None, _MS_REMOUNT | _MS_RDONLY, size), "mount")


def own_mounts() -> None:
    """Give this process a mount namespace; what it mounts ends with it. Raises `OSError` where that is not allowed."""
    unshare(_CLONE_NEWNS)
    _checked(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")


def children(parent: int) -> list[int]:
    """Processes whose parent is ``parent``; zombies too."""
    found = []
    for entry in (path.name for path in Path("/proc").iterdir()):
        if entry.isdigit() and (stat := _stat(int(entry))) and int(stat[1]) == parent:
            found.append(int(entry))
    return found


def descendants(parent: int) -> list[int]:
    """All processes below ``parent``."""
    parents: dict[int, list[int]] = {}
    for entry in (path.name for path in Path("/proc").iterdir()):
        if entry.isdigit() and (stat := _stat(int(entry))):
            parents.setdefault(int(stat[1]), []).append(int(entry))
    found, waiting = [], [parent]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _stat(pid: int) -> list[str]:
    """State, parent and further fields of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] == ["Z"]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
    except OSError:
        return ""


def resident_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except (OSError, IndexError, ValueError):
        return 0.0
