"""Wait for an event in another process or thread instead of guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_SECONDS = 300.0
"""Guards a test run against hanging; no test depends on it: events come within seconds, on a loaded machine within a minute."""


def wait_until(happened: Callable[[], bool], what: str, *, alive: Callable[[], bool] = lambda: True) -> None:
    """Poll until ``happened``; fail with ``what`` when ``alive`` becomes false first or after `HANG_SECONDS`."""
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        # Asked first, so that an event right before the end counts.
        running = alive()
        if happened():
            return
        assert running, f"ended before {what}"
        assert time.monotonic() < deadline, f"no sign of {what} after {HANG_SECONDS:.0f} s"
        time.sleep(0.02)
