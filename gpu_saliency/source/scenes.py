"""Detects scene cuts; with automatic segments a plan begins a new segment at each cut.

Every decoded frame is measured, not only the samples, so that cuts are exact to the frame. The measure uses a coarse lattice of
luma points, which takes some microseconds per frame.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

_LATTICE = 48
"""Approximate number of lattice points across, and down."""
_LEAST_CHANGE = 15 / 255
"""Least mean luma change, 0..1, from the frame before to a cut."""
_TIMES_NEIGHBOURS = 3.0
_NEIGHBOURS = 2
"""The change at a cut must be three times the mean change of the two frames before and the two after it, or more. A pan or a
shaking camera changes all of them equally. The values are the defaults of PySceneDetect's AdaptiveDetector, which measures HSV."""
_SHORTEST = 6
"""Least number of frames between two cuts, so that a flash is not two cuts."""


class SceneMeter:
    """Measures how much each frame differs from the one before it."""

    def __init__(self) -> None:
        self._previous: NDArray[np.float32] | None = None
        self._changes: list[float] = []

    def add(self, frame: av.VideoFrame) -> None:
        """Measure the next frame of the clip."""
        lattice = luma_lattice(frame)
        if self._previous is None or self._previous.shape != lattice.shape:
            self._changes.append(0.0)
        else:
            self._changes.append(float(np.abs(lattice - self._previous).mean()))
        self._previous = lattice

    def cuts(self) -> tuple[int, ...]:
        """Numbers of the frames that begin a new scene."""
        return find_cuts(np.array(self._changes))


def luma_lattice(frame: av.VideoFrame) -> NDArray[np.float32]:
    """About 48x48 points of the first plane, 0..1. Packed formats are read as plain bytes, which suffices to detect cuts."""
    plane, bits = frame.planes[0], frame.format.components[0].bits
    kind: type[np.generic] = np.uint8 if bits <= 8 else np.uint16
    lines = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)[: frame.height]
    width = min(frame.width, lines.shape[1])
    picked = lines[:: lattice_axis(frame.height)[0], : width : lattice_axis(width)[0]]
    return picked.astype(np.float32) / np.float32(2**bits - 1)


def lattice_axis(length: int) -> tuple[int, int]:
    """Distance in pixels, and number, of the lattice points along a side of ``length`` pixels."""
    step = max(1, length // _LATTICE)
    return step, -(-length // step)


def find_cuts(changes: NDArray[np.floating]) -> tuple[int, ...]:
    """Find the frame numbers of the cuts; ``changes`` ``[frames]`` is each frame's mean luma change, 0..1, from the one before."""
    cuts: list[int] = []
    last = 0
    for i in np.flatnonzero(changes >= _LEAST_CHANGE):
        around = np.concatenate((changes[max(1, i - _NEIGHBOURS) : i], changes[i + 1 : i + 1 + _NEIGHBOURS]))
        nearby = float(around.mean()) if len(around) else 0.0
        if changes[i] >= _TIMES_NEIGHBOURS * nearby and i - last >= _SHORTEST:
            cuts.append(int(i))
            last = int(i)
    return tuple(cuts)
