"""The program in a pseudo-terminal, for the tests of ``preview --terminal``."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from fcntl import ioctl
from termios import TIOCSWINSZ
from typing import IO

from waiting import HANG_SECONDS

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_RECENT = 1 << 19
"""Bytes of output that are looked at, a dozen redraws. All of a long wait's output would take longer than the program needs."""


class Terminal:
    """A run of ``preview --terminal`` in a pseudo-terminal, which ends with the block. It must be read from, or it blocks."""

    def __init__(self, *arguments: object, size: tuple[int, int] = (100, 30), **variables: str) -> None:
        self.our_end, their_end = pty.openpty()
        ioctl(their_end, TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        command = [sys.executable, "-m", "gpu_saliency", "preview", *map(str, arguments), "--terminal"]
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | variables
        self.process = subprocess.Popen(command, stdin=their_end, stdout=their_end, stderr=subprocess.PIPE, env=environment)
        os.close(their_end)
        self.written = bytearray()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill().close()
        os.close(self.our_end)

    def until(self, met: Callable[[str], object]) -> str:
        """Read until the recent output since the last call, without escape sequences, fulfils ``met``; returns that output."""
        deadline, begin = time.monotonic() + HANG_SECONDS, len(self.written)
        runs = True
        while runs and time.monotonic() < deadline:
            runs = self._read()
            text = self._text(begin)
            if met(text):
                return text
        raise AssertionError(self._story())

    def press(self, keys: bytes) -> None:
        os.write(self.our_end, keys)

    def end(self) -> int:
        """Read to the end of the output; returns the exit status."""
        deadline = time.monotonic() + HANG_SECONDS
        while self._read():
            if time.monotonic() > deadline:
                raise AssertionError(self._story())
        return self.process.wait(timeout=HANG_SECONDS)

    def _text(self, begin: int = 0) -> str:
        return _ESCAPES.sub("", self.written[max(begin, len(self.written) - _RECENT) :].decode("utf-8", "replace"))

    def _read(self) -> bool:
        """Read what comes within a moment; returns whether more may come."""
        seconds, before = 0.1, len(self.written)
        while len(self.written) - before < _RECENT and select.select([self.our_end], [], [], seconds)[0]:
            seconds = 0.0  # a redraw comes in many pieces
            try:
                self.written += os.read(self.our_end, 65536)
            except OSError:  # the program has ended, which closes its side
                return False
        return True

    def _story(self) -> str:
        """How the program ended, what it wrote to stderr, and the last of what it showed."""
        errors = self._kill().read().decode("utf-8", "replace")
        shown = re.sub(r"\s{2,}", "\n", self._text())
        return f"exit status {self.process.returncode}; stderr: {errors}; shown last: {shown[-3000:]}"

    def _kill(self) -> IO[bytes]:
        """End the program if it still runs; returns what it wrote to stderr."""
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        return self.process.stderr
