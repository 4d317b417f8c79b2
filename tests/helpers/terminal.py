"""The program in a pseudo-terminal, for tests of ``preview --terminal``."""

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

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """The program in a pseudo-terminal; what it writes is read as it comes."""

    def __init__(self, *arguments: object, size: tuple[int, int] = (100, 30), **variables: str) -> None:
        self.ours, theirs = pty.openpty()
        ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        command = [sys.executable, "-m", "gpu_saliency", "preview", *map(str, arguments), "--terminal"]
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | variables
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment)
        os.close(theirs)
        self.written = b""

    def until(self, met: Callable[[str], object], seconds: float = 60) -> str:
        """Read until ``met`` by what was written since the last call, without its escapes."""
        deadline, begin = time.monotonic() + seconds, len(self.written)
        while time.monotonic() < deadline:
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.ours, 65536)
                except OSError:  # the program has closed it
                    break
            text = _ESCAPES.sub("", self.written[begin:].decode("utf-8", "replace"))
            if met(text):
                return text
        raise AssertionError(self.written[-3000:])

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def end(self) -> int:
        """Its exit status; whatever it still writes is read, lest it waits for that."""
        deadline = time.monotonic() + 30
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.written[-3000:])
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.ours, 65536)
                except OSError:
                    break
        code = self.process.wait(timeout=30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        os.close(self.ours)
        return code
