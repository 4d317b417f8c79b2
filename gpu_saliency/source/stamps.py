"""Makes strictly rising time stamps of those that a decoder delivers, and tells where they come from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLOCKS = ("source", "continued", "sorted", "counted")
"""Where the time stamps of frames come from: the source as they are; the source, with restarts of its clock continued; the source,
sorted, since AVI stores no presentation order; or the number of each frame divided by the frame rate."""
_REORDER = 32
"""Most places by which sorting may move a time stamp. H.264 and HEVC reorder by up to 16 frames."""
_REPEATED = 0.05
"""Largest share of sorted time stamps that repeat the one before. Where two recordings are joined, some do."""


def rising_stamps(
    pts: NDArray[np.int64], dts: NDArray[np.int64], frames: int, *, restarted: bool
) -> tuple[NDArray[np.int64] | None, str]:
    """Return the stamps ``[frames]``, strictly rising, and their origin of `CLOCKS`; ``None`` for ``counted``.

    ``pts`` has the stamps of those frames that have one, in the order of presentation; ``dts`` the decode times of the packets. A
    repeated stamp is raised by a tick. Decode times replace presentation times that do not rise: AVI has only those, and
    libavformat derives the others from them.
    """
    if len(pts) != frames or not frames:
        return None, "counted"
    clock = "continued" if restarted else "source"
    if np.any(np.diff(pts) < 0):
        clock = "continued" if restarted else "sorted"
        if len(dts) == frames and not restarted and np.all(np.diff(dts) > 0):
            return dts, clock
        order = np.argsort(pts, kind="stable")
        pts = pts[order]
        repeated = np.count_nonzero(np.diff(pts) == 0)
        if repeated > _REPEATED * frames or np.abs(order - np.arange(frames)).max() > _REORDER:
            return None, "counted"
    ticks = np.arange(frames)
    return np.maximum.accumulate(pts - ticks) + ticks, clock
