"""`Cache`: entries by key, each a file. The least recently used ones are removed when all together are larger than the limit."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.cache.folder import make_private

_PART = ".part-"
_STALE_SECONDS = 3600.0
"""Age of a temporary file after which its writer has been killed; a write takes seconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the cache."""

    path: Path
    size_bytes: int
    used: float
    """Time of the last use, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The entries of one kind, files with ``suffix`` in ``folder``. Several processes may use it at once.

    An entry is written under a temporary name and renamed, so that no process reads half of one. A removed entry stays readable for
    those that have opened it.
    """

    folder: Path
    suffix: str
    limit: int
    """Bytes of all entries together."""

    def find(self, key: str) -> Path | None:
        """The entry of ``key``, which counts as used now; ``None`` where there is none."""
        path = self._path(key)
        try:
            os.utime(path, follow_symlinks=False)
        except OSError:
            return path if path.is_file() else None  # a read-only cache still serves
        return path

    def add(self, key: str, write: Callable[[Path], None]) -> Path | None:
        """Keep what ``write`` writes to the path it gets; returns the entry, or ``None`` where it alone is larger than the limit.

        Raises `OSError`, and what ``write`` raises; no temporary file is left.
        """
        make_private(self.folder)
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=_PART)  # readable by this user only
        os.close(descriptor)
        temporary, path = Path(name), self._path(key)
        try:
            write(temporary)
            if temporary.stat().st_size > self.limit:
                return None
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self.prune()
        return path

    def remove(self, key: str) -> None:
        """Remove the entry of ``key``, such as a damaged one, if it is there and can be removed."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def entries(self) -> list[Entry]:
        """All entries, the least recently used first."""
        pattern = re.compile("[0-9a-f]{64}" + re.escape(self.suffix))
        return sorted((one for one in self._files() if pattern.fullmatch(one.path.name)), key=lambda one: one.used)

    def prune(self, limit: int | None = None) -> list[Entry]:
        """Remove the least recently used entries until the others have ``limit`` bytes, and what killed writers left.

        ``None`` takes the cache's own limit. Returns the removed entries.
        """
        now, removed = time.time(), []
        for stray in self._files():
            if stray.path.name.startswith(_PART) and now - stray.used > _STALE_SECONDS:
                stray.path.unlink(missing_ok=True)
        entries = self.entries()
        size = sum(one.size_bytes for one in entries)
        for one in entries:
            if size <= (self.limit if limit is None else limit):
                break
            with contextlib.suppress(OSError):
                one.path.unlink()
                removed.append(one)
            size -= one.size_bytes
        return removed

    def _path(self, key: str) -> Path:
        return self.folder / (key + self.suffix)

    def _files(self) -> list[Entry]:
        found = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as scan:
            for one in scan:
                with contextlib.suppress(OSError):  # another process has removed it
                    if one.is_file(follow_symlinks=False):
                        stat = one.stat(follow_symlinks=False)
                        found.append(Entry(Path(one.path), stat.st_size, stat.st_mtime))
        return found
