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

from waiting import HANG_SECONDS

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A run of ``preview --terminal`` in a pseudo-terminal. It must be read from, or it blocks."""

    def __init__(self, *arguments: object, size: tuple[int, int] = (100, 30), **variables: str) -> None:
        self.our_end, their_end = pty.openpty()
        ioctl(their_end, TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        command = [sys.executable, "-m", "gpu_saliency", "preview", *map(str, arguments), "--terminal"]
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | variables
        self.process = subprocess.Popen(command, stdin=their_end, stdout=their_end, stderr=subprocess.PIPE, env=environment)
        os.close(their_end)
        self.written = b""

    def until(self, met: Callable[[str], object]) -> str:
        """Read until the output since the last call, without escape sequences, fulfils ``met``; returns that output."""
        deadline, begin = time.monotonic() + HANG_SECONDS, len(self.written)
        while time.monotonic() < deadline:
            if select.select([self.our_end], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.our_end, 65536)
                except OSError:  # the program has closed it
                    break
            text = _ESCAPES.sub("", self.written[begin:].decode("utf-8", "replace"))
            if met(text):
                return text
        raise AssertionError(self.written[-3000:])

    def press(self, keys: bytes) -> None:
        os.write(self.our_end, keys)

    def end(self) -> int:
        """Read to the end of the output; returns the exit status."""
        deadline = time.monotonic() + HANG_SECONDS
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.written[-3000:])
            if select.select([self.our_end], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.our_end, 65536)
                except OSError:
                    break
        code = self.process.wait(timeout=HANG_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()
        os.close(self.our_end)
        return code
