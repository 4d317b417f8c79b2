"""Reads single key presses from the terminal, without waiting for a line."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty

_ARROWS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left"}


class Keys:
    """Reads keys from stdin, and restores the terminal at the end of the block. If stdin is not a terminal, it reads no keys."""

    def __enter__(self) -> Keys:
        self._before = None
        self._typed = b""  # keys that were read together with an earlier one
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float) -> str:
        """Wait up to ``seconds`` for a key; returns its character, or ``up``, ``down``, ``left``, ``right``, or ``""`` if none."""
        if self._before is None:
            time.sleep(seconds)
            return ""
        if not self._typed and select.select([sys.stdin], [], [], seconds)[0]:
            self._typed = os.read(sys.stdin.fileno(), 16)
        length = 3 if self._typed[:3] in _ARROWS else 1
        key, self._typed = self._typed[:length], self._typed[length:]
        return _ARROWS.get(key, key.decode("ascii", "ignore"))
