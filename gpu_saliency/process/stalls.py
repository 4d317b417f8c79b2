"""The stall limit: a program that makes no progress for this long is ended, and a decoder that gets no data gives up."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType

from gpu_saliency.errors import UsageError, setting
from gpu_saliency.process import children

DEFAULT_SECONDS = 300.0
BUSY_FACTOR = 10
"""A program that reports no progress but computes has this many times the limit: slow encoders hold many frames back."""
_IDLE_SHARE = 0.02
"""Largest share of one core that a stalled program uses; ffmpeg's main thread wakes up to report that nothing happened."""
_BASELINE_SHARE = 0.1
"""Share of the limit after which the processor time is read for the first time."""
STALL_CURE = f"check the source's disk and network, or give a larger {setting('stall_timeout')}; 0 sets no limit"
_seconds = DEFAULT_SECONDS


def set_stall_timeout(seconds: float) -> None:
    """Set the stall limit of this process in seconds; 0 sets no limit. Raises `UsageError`."""
    global _seconds
    if not 0 <= seconds < math.inf:
        raise UsageError("out of range", setting="stall_timeout", value=seconds, cure="give seconds, or 0 for no limit")
    _seconds = seconds


def stall_timeout() -> float | None:
    """The stall limit in seconds; ``None`` without one."""
    return _seconds or None


class StallWatch:
    """A thread that calls ``on_stall`` when `note` gets no new value for too long; a context manager.

    Too long is the stall limit for work that uses no processor time, and `BUSY_FACTOR` times the limit for work that does.
    """

    def __init__(self, on_stall: Callable[[], None]) -> None:
        self.stalled_seconds: float | None = None
        """The time without progress after which ``on_stall`` was called."""
        self._on_stall = on_stall
        self._notes: dict[str, str] = {}
        self._changes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall", daemon=True)

    def __enter__(self) -> StallWatch:
        if stall_timeout() is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def note(self, name: str, value: str) -> None:
        """Note a value that changes as long as there is progress."""
        if self._notes.get(name) != value:
            self._notes[name] = value
            self._changes += 1

    def _watch(self) -> None:
        limit = _seconds
        tick = min(1.0, limit / 20)
        seen, still, used = self._changes, 0.0, None
        window = 0.0
        before = time.monotonic()
        while not self._ended.wait(tick):
            now = time.monotonic()
            # A process that was stopped itself counts no more than two ticks.
            passed, before = min(now - before, 2 * tick), now
            if self._changes != seen:
                seen, still, window, used = self._changes, 0.0, 0.0, None
                continue
            still, window = still + passed, window + passed
            if used is None and window >= limit * _BASELINE_SHARE:
                used, window = children.cpu_seconds(), limit * _BASELINE_SHARE
            if window >= limit:
                is_idle = _is_idle(used, limit * (1 - _BASELINE_SHARE))
                if is_idle or still >= limit * BUSY_FACTOR:
                    self.stalled_seconds = round(still, 1)
                    self._on_stall()
                    return
                used, window = None, 0.0


def _is_idle(used: float | None, seconds: float) -> bool:
    """Whether hardly any processor time was used since ``used``, in ``seconds``; ``False`` where it is not known."""
    now = children.cpu_seconds()
    return used is not None and now is not None and now - used < seconds * _IDLE_SHARE
