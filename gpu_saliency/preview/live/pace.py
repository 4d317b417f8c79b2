"""Paces a live file or pipe, from which frames can be read faster than real time."""

from __future__ import annotations

from collections.abc import Callable

_LATE_SECONDS = 0.5
"""A frame that is late by more than this restarts the clock."""
_BEHIND_SECONDS = 4.0
"""Most unread data of a growing file, as playing time; if there is more, frames are read without waiting. Also the longest wait."""


class Pacer:
    """Computes the waiting time before each frame; restarts its clock if time stamps jump or reading has fallen behind."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` reads a monotonic clock in seconds."""
        self._now = now
        self._started: tuple[float, float] | None = None
        self._first_time = 0.0

    def due_in(self, seconds: float, read: int, unread: int) -> float:
        """Seconds to wait before showing the frame with time stamp ``seconds``.

        ``read`` bytes of the source were read and ``unread`` more are available; both 0 if unknown.
        """
        now = self._now()
        if self._started is None:
            self._started, self._first_time = (now, seconds), seconds
        due = self._started[0] + seconds - self._started[1] - now
        passed = seconds - self._first_time
        is_behind = passed > 0 and unread * passed > _BEHIND_SECONDS * read
        if is_behind or due < -_LATE_SECONDS or due > _BEHIND_SECONDS:
            self._started = (now, seconds)
            return 0.0
        return max(0.0, due)
