"""The standard streams: closed ones are opened, characters that they cannot encode are escaped, and failures end no job.

- A descriptor 0, 1 or 2 that is closed at the start gets ``/dev/null`` (__main__.py); otherwise the first opened file would become
  the standard output or error of this program and of its libraries.
- What cannot be written to stderr is dropped.
- What cannot be written to stdout raises `StdoutError`, or `StdoutClosed` where the reader has gone.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from gpu_saliency.errors import OutputError


class StdoutError(OutputError):
    """The result cannot be written to stdout."""


class StdoutClosed(StdoutError):  # noqa: N818 - the reader wants no more, which is no error
    """The reader of stdout has gone."""


def replace_missing() -> None:
    """Make the stream objects that Python leaves out for descriptors that were closed at its start."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if descriptor == 0 else "w"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Guard ``sys.stdout`` and ``sys.stderr`` during the block, as the module describes."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = cast(TextIO, _Stdout(before[0])), cast(TextIO, _Stderr(before[1]))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Guarded:
    """A text stream that passes everything on to another one; `_failed` is called with the errors of writing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            self._failed(error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        raise NotImplementedError

    def _discard(self) -> None:
        """Send to ``/dev/null`` what is still in the buffer, which Python writes at its end, and all that follows."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


class _Stdout(_Guarded):
    def _failed(self, error: Exception) -> None:
        self._discard()
        kind = StdoutClosed if isinstance(error, BrokenPipeError) or getattr(error, "errno", None) == errno.EPIPE else StdoutError
        reason = getattr(error, "strerror", None) or str(error)
        raise kind(f"stdout: the result cannot be written: {reason}", cure="free some space, or send stdout elsewhere") from error


class _Stderr(_Guarded):
    def _failed(self, error: Exception) -> None:  # noqa: ARG002 - there is no place left to report it
        self._discard()
