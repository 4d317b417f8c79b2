"""Byte sources: live sources that libavformat reads through Python, such as a growing file and a pipe."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path
from typing import Protocol

_POLL_SECONDS = 0.05


class ByteSource(Protocol):
    """A file-like object for `av.open`."""

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes; empty at the end."""
        ...

    def progress(self) -> tuple[int, int]:
        """Number of bytes read so far, and of further bytes available; both 0 if unknown."""
        ...

    def failure(self) -> str | None:
        """The reason why no bytes were read; ``None`` if unknown."""
        ...

    def close(self) -> None: ...


class GrowingFile:
    """Reads a file that is still being written; at its end it waits for more bytes until ``closing`` is set."""

    def __init__(self, path: Path, closing: threading.Event) -> None:
        self._file = path.open("rb", buffering=0)
        self._closing = closing

    def read(self, size: int) -> bytes:
        while not self._closing.is_set():
            data = self._file.read(size)
            if data:
                return data
            self._closing.wait(_POLL_SECONDS)
        return b""

    def progress(self) -> tuple[int, int]:
        read = self._file.tell()
        return read, os.fstat(self._file.fileno()).st_size - read

    def failure(self) -> None:
        return None

    def close(self) -> None:
        self._file.close()


class Pipe:
    """Reads stdin or another file descriptor, to its end or until ``closing`` is set."""

    def __init__(self, descriptor: int, closing: threading.Event) -> None:
        self._descriptor, self._closing = descriptor, closing

    def read(self, size: int) -> bytes:
        while not self._closing.is_set():
            if select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
                return os.read(self._descriptor, size)
        return b""

    def progress(self) -> tuple[int, int]:
        return 0, 0

    def failure(self) -> None:
        return None

    def close(self) -> None:
        pass
