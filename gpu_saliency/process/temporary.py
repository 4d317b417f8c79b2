"""Temporary folders: hidden, with random names, locked while in use, so that later runs recognise and remove those of dead runs.

A folder is ``.gpu-saliency-BOOT-RANDOM``. While its process lives, that holds an exclusive `flock` on the file ``lock`` in it; the
kernel releases the lock however the process ends. Before a run makes a folder it sweeps the place: of the folders with such a name
and its own user it removes those whose lock is free. ``BOOT`` identifies the running kernel. On a network file system another
machine may hold a lock that cannot be seen here, so a folder of another boot must also be unchanged for `FOREIGN_SECONDS`; the same
holds where the file system has no locks.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from gpu_saliency.process import guard, signals

FOREIGN_SECONDS = 24 * 3600.0
"""Age from which a folder is removed though its lock proves nothing: of another machine or boot, or without locks."""
_LOCK = "lock"
_NAME = re.compile(r"\.gpu-saliency-([0-9a-f]{8})-[0-9a-f]{16}")
_SWEEP_SECONDS = 10.0
"""Least time between two sweeps of one place by one process."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
_TRIES = 100
_own: dict[Path, int | None] = {}
"""The folders of this process, and the descriptor of the lock of each; ``None`` where it has none."""
_swept: dict[Path, float] = {}
_registry = threading.Lock()


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a temporary folder in ``parent``, by default that of the system, and remove it after the block. Raises `OSError`.

    The path is absolute.
    """
    parent = Path(tempfile.gettempdir() if parent is None else parent).absolute()
    with contextlib.suppress(OSError):
        sweep(parent)
    guard.start()
    with signals.held():
        folder = _make(parent)
    try:
        yield folder
    finally:
        if folder in _own:  # not in a fork
            _remove(folder)


def sweep(parent: Path) -> None:
    """Remove the temporary folders of dead runs from ``parent``. Raises `OSError` if it cannot be read."""
    now = time.monotonic()
    with _registry:
        if now - _swept.get(parent, -_SWEEP_SECONDS) < _SWEEP_SECONDS:
            return
        _swept[parent] = now
    with os.scandir(parent) as entries:
        found = [entry for entry in entries if _NAME.fullmatch(entry.name)]
    for entry in found:
        with contextlib.suppress(OSError):
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and Path(entry.path) not in _own:
                _sweep_one(Path(entry.path))


def _sweep_one(folder: Path) -> None:
    descriptor = _open_lock(folder / _LOCK)
    try:
        is_locked = _try_lock(descriptor)
        if is_locked is False or not _is_same(descriptor, folder / _LOCK):
            return
        matched = _NAME.fullmatch(folder.name)
        is_proof = is_locked and matched is not None and matched[1] == _boot()
        if is_proof or _age(folder) > FOREIGN_SECONDS:
            _delete(folder)
    finally:
        os.close(descriptor)


def _make(parent: Path) -> Path:
    """Make and lock a folder. A sweep of another run may remove it before it is locked; then another is made."""
    for _ in range(_TRIES):
        folder = parent / f".gpu-saliency-{_boot()}-{secrets.token_hex(8)}"
        with _registry:
            _own[folder] = None  # known before it exists, so that it is removed whatever happens now
        guard.tell("+", os.fsencode(folder))
        try:
            folder.mkdir(mode=0o700)
            descriptor = _open_lock(folder / _LOCK)
        except FileNotFoundError:
            _remove(folder)
            if not parent.is_dir():
                raise
            continue
        except BaseException:
            _remove(folder)
            raise
        with _registry:
            _own[folder] = descriptor
        if _try_lock(descriptor) is not False and _is_same(descriptor, folder / _LOCK):
            return folder
        _remove(folder)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(parent))


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _try_lock(descriptor: int) -> bool | None:
    """Whether the lock was free and now is ours; ``None`` where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        return False
    return True


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether ``path`` still is the file that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except OSError:
        return False


def _age(folder: Path) -> float:
    """Seconds since anything in ``folder`` was changed."""
    newest = folder.stat(follow_symlinks=False).st_mtime
    for path in folder.rglob("*"):
        if path.name != _LOCK:
            newest = max(newest, path.stat(follow_symlinks=False).st_mtime)
    return time.time() - newest


def _boot() -> str:
    """Eight hexadecimal digits that identify the running kernel; zeros where it has no identity."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return "0" * 8
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _delete(folder: Path) -> None:
    """Delete ``folder``, the lock last; what another process adds meanwhile is deleted too. Errors are ignored."""
    for _ in range(5):
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != _LOCK:
                    path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()
            return
        if not folder.exists():
            return
        time.sleep(0.02)


def _remove(folder: Path) -> None:
    _delete(folder)
    with _registry:
        descriptor = _own.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)
    if folder.exists():
        _delete(folder)  # network file systems keep a deleted file until it is closed
    guard.tell("-", os.fsencode(folder))


def remove_all() -> None:
    """Remove all temporary folders of this process; called at its end."""
    for folder in list(_own):
        _delete(folder)


def _forget() -> None:
    """In a fork of this process: the folders are the parent's."""
    global _registry
    _registry = threading.Lock()
    _own.clear()


os.register_at_fork(after_in_child=_forget)
signals.at_end(remove_all)
atexit.register(remove_all)
