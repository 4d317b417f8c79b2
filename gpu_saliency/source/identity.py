"""`FileIdentity`: tells whether a file is still the one that was read before."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.untrusted.regular import open_regular

_PIECE, _PIECES = 65536, 64


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a file was when it was read. Two equal ones are of the same, unchanged file."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    fingerprint: str
    """SHA-256, hexadecimal, over the size and 64 evenly spread pieces of 64 KiB; of files of up to 4 MiB over all of it."""

    @classmethod
    def of(cls, path: Path) -> FileIdentity:
        """Read the identity of ``path``, which costs a few milliseconds for any size. Raises `OSError` or `ValueError`."""
        with open_regular(path) as file:
            found = os.fstat(file.fileno())
            digest = hashlib.sha256(str(found.st_size).encode())
            if found.st_size <= _PIECE * _PIECES:
                digest.update(file.read(_PIECE * _PIECES))
            else:
                for i in range(_PIECES):
                    file.seek((found.st_size - _PIECE) * i // (_PIECES - 1))
                    digest.update(file.read(_PIECE))
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, digest.hexdigest())

    def change(self, path: Path) -> str | None:
        """How the file at ``path`` differs from this one, in words; ``None`` where it is the same."""
        try:
            now = FileIdentity.of(path)
        except (OSError, ValueError):
            return "is no longer there"
        if (now.device, now.inode) != (self.device, self.inode):
            return "is another file now"
        if now.size_bytes != self.size_bytes:
            return f"had {self.size_bytes:,} bytes, and has {now.size_bytes:,} now"
        return None if now == self else "was changed"


def stat_of(path: Path) -> tuple[object, ...] | None:
    """What a change of the file at ``path`` changes, without its content: device, inode, size and times; ``None``: no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
