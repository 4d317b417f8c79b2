"""What all codecs share: gaps in numbers that come out of order, and the rule when a gap is evidence."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import suppress

_WINDOW = 32
"""Pictures that may come before one with a lower number: more than the 16 that H.264 and HEVC reorder."""
_UNSETTLED = 8
"""Pictures at the start of a recording, before which others may lack."""


class PictureNumbers(ABC):
    """Counts the gaps in the numbers of a stream's pictures."""

    def add(self, data: bytes) -> None:
        """Look at a packet of the stream."""
        with suppress(IndexError):  # a damaged header: the decoder reports it
            self._add(data)

    @abstractmethod
    def _add(self, data: bytes) -> None:
        """As `add`; may raise `IndexError` for a damaged header."""

    @abstractmethod
    def restart(self) -> None:
        """Another recording begins with the next packet."""

    @abstractmethod
    def gaps(self) -> int:
        """Number of gaps, at the end of the stream."""


def evidence(gaps: int, pictures: int) -> int:
    """``gaps``, or 0 where they are too many of the ``pictures``: then an encoder numbers them otherwise, by time for example."""
    return gaps if gaps <= max(2, pictures // 10) else 0


def whole_order(low: int, previous: int, period: int) -> int:
    """The picture order count whose low part, 0 to ``period`` - 1, is ``low``: the one nearest to the ``previous`` reference's.

    ITU-T H.264, 8.2.1.1, and H.265, 8.3.1.
    """
    before = previous % period
    high = previous - before
    if low < before and before - low >= period // 2:
        high += period
    elif low > before and low - before > period // 2:
        high -= period
    return high + low


class Order:
    """Follows numbers of the order of presentation: within a sequence they rise by one step, and each comes once."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._last: int | None = None
        self._steps: Counter[int] = Counter()
        self._unsettled, self._floor = _UNSETTLED, 0

    def begin(self, *, complete: bool) -> None:
        """A sequence begins; ``complete``: with its first picture."""
        while self._waiting:
            self._next()
        self._last = None
        self._unsettled, self._floor = 0 if complete else _UNSETTLED, -(1 << 40)

    def add(self, number: int) -> None:
        """Note a picture."""
        if self._unsettled:
            self._unsettled -= 1
            self._floor = max(self._floor, number)
        heapq.heappush(self._waiting, number)
        if len(self._waiting) > _WINDOW:
            self._next()

    def _next(self) -> None:
        number = heapq.heappop(self._waiting)
        if self._last is not None and number > self._last and number > self._floor:
            self._steps[number - self._last] += 1
        self._last = number if self._last is None else max(self._last, number)

    def gaps(self) -> int:
        """Number of gaps."""
        self.begin(complete=True)
        if not self._steps:
            return 0
        usual = min(self._steps)
        return evidence(sum(count for step, count in self._steps.items() if step > usual), self._steps.total())
