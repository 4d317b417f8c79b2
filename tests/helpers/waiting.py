"""Wait for an event in another process or thread instead of guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_SECONDS = 300.0
"""Ends a test run that hangs. Each event comes within seconds, or within a minute on a loaded machine."""


def wait_until(happened: Callable[[], bool], what: str, *, alive: Callable[[], bool] = lambda: True) -> None:
    """Poll until ``happened``. Fails, naming ``what``, where ``alive`` becomes false first (a process ended) or time runs out."""
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        # Asked first, so that an event right before the end counts.
        running = alive()
        if happened():
            return
        assert running, f"ended before {what}"
        assert time.monotonic() < deadline, f"no sign of {what} after {HANG_SECONDS:.0f} s"
        time.sleep(0.02)
