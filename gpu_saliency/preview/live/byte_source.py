"""Byte sources: live sources that libavformat reads through Python, such as a growing file and a pipe."""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path
from typing import Protocol

from gpu_saliency.process.stalls import stall_timeout

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

    def shown(self) -> None:
        """State that a frame was decoded; from then on the source waits for bytes without limit."""
        ...

    def close(self) -> None: ...


class _Patience:
    """Ends the wait for bytes after the stall limit, as long as no frame was decoded."""

    def __init__(self) -> None:
        self._since: float | None = time.monotonic()
        self._bytes = 0
        self.reason: str | None = None
        """Why the wait has ended; ``None`` before."""

    def note(self, count: int) -> None:
        """``count`` bytes came."""
        if self._since is not None:
            self._since, self._bytes = time.monotonic(), self._bytes + count

    def end(self) -> None:
        """Wait without limit from now on."""
        self._since = None

    def is_over(self) -> bool:
        """Whether the limit is reached."""
        limit = stall_timeout()
        if self._since is None or limit is None or time.monotonic() - self._since < limit:
            return False
        self.reason = f"no picture in its {self._bytes} bytes, and no further bytes for {limit:g} s"
        return True


class GrowingFile:
    """Reads a file that is still being written; at its end it waits for more bytes until ``closing`` is set.

    Before the first frame it waits for the stall limit only.
    """

    def __init__(self, path: Path, closing: threading.Event) -> None:
        self._file = path.open("rb", buffering=0)
        self._closing = closing
        self._patience = _Patience()

    def read(self, size: int) -> bytes:
        while not self._closing.is_set() and not self._patience.is_over():
            data = self._file.read(size)
            if data:
                self._patience.note(len(data))
                return data
            self._closing.wait(_POLL_SECONDS)
        return b""

    def shown(self) -> None:
        self._patience.end()

    def progress(self) -> tuple[int, int]:
        read = self._file.tell()
        return read, os.fstat(self._file.fileno()).st_size - read

    def failure(self) -> str | None:
        return self._patience.reason

    def close(self) -> None:
        self._file.close()


class Pipe:
    """Reads stdin or another file descriptor, to its end or until ``closing`` is set; before the first frame as `GrowingFile`."""

    def __init__(self, descriptor: int, closing: threading.Event) -> None:
        self._descriptor, self._closing = descriptor, closing
        self._patience = _Patience()

    def read(self, size: int) -> bytes:
        while not self._closing.is_set() and not self._patience.is_over():
            if select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
                data = os.read(self._descriptor, size)
                self._patience.note(len(data))
                return data
        return b""

    def shown(self) -> None:
        self._patience.end()

    def progress(self) -> tuple[int, int]:
        return 0, 0

    def failure(self) -> str | None:
        return self._patience.reason

    def close(self) -> None:
        pass
