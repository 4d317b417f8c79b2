"""Live sources that libavformat reads through Python: a growing file and a pipe."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path
from typing import Protocol

_POLL_SECONDS = 0.05


class ByteSource(Protocol):
    """A readable file for `av.open`."""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...

    def progress(self) -> tuple[int, int]:
        """Bytes read, and further bytes available; both 0 where that is unknown."""
        ...

    def failure(self) -> str | None:
        """The reason why nothing was read, if the source knows it."""
        ...

    def close(self) -> None: ...


class GrowingFile:
    """A file that is still being written: at its end, waits for more until ``closing`` is set."""

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
    """Stdin or another descriptor, read to its end or until ``closing`` is set."""

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
