"""Which process works on a queue: a lock that the kernel releases however it ends, and its identity in the rows that it claims."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.errors import OutputError, UsageError

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told from all others that ever have its number: by machine, boot and time of start."""

    boot: str
    """Machine and identity of its running kernel."""
    pid: int
    started: int
    """Clock ticks from the boot to the start of the process."""

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return cls(_boot(), os.getpid(), _start_of(os.getpid()) or 0)

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; ``False`` for one of another machine, of which nothing is known here."""
        return self.boot == _boot() and _start_of(self.pid) == self.started

    @property
    def is_of_this_boot(self) -> bool:
        """Whether what the process wrote, but did not flush, is still there: the kernel runs that it ran on."""
        return self.boot == _boot()


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = "unknown"
    return f"{socket.gethostname()} {boot}"


def _start_of(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


@contextlib.contextmanager
def only_run(path: Path) -> Iterator[None]:
    """Hold the lock ``path`` during the block. Raises `UsageError` if another run holds it, `OutputError` if it cannot be made."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", cure="give another queue") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                cure = "give a queue on a local disk"
                raise OutputError(f"{path}: this file system has no locks", cure=cure) from error
            words = os.pread(descriptor, 100, 0).decode("ascii", "replace").strip()
            by = f" by process {words}" if words.isdigit() else ""
            cure = "wait for it, or give another queue; a batch can be divided with a shard for each process"
            raise UsageError(f"{path.parent}: its queue is worked on{by}", cure=cure) from None
        with contextlib.suppress(OSError):  # a full disk; the number is for messages only
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
