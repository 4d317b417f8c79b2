"""Keys as they are pressed, from a terminal that does not wait for a whole line."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty

_ARROWS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left"}


class Keys:
    """Reads stdin where that is a terminal, and sets the terminal back in the end. Elsewhere no key is ever pressed."""

    def __enter__(self) -> Keys:
        self._before = None
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float) -> str:
        """Wait for so long, or until a key is pressed: its letter or ``up``, ``down``, ``left``, ``right``; ``""`` for none."""
        if self._before is None:
            time.sleep(seconds)
            return ""
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return ""
        typed = os.read(sys.stdin.fileno(), 16)
        return _ARROWS.get(typed, typed[:1].decode("ascii", "ignore"))
