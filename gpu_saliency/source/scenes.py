"""Where one scene ends and the next begins: a plan must not reach across a cut, nor lag behind it.

Every decoded frame is looked at, not only the sampled ones, so that a cut is found to the frame; a coarse lattice of its luma is
enough and costs some microseconds.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

_LATTICE = 48
"""Samples across and down."""
_LEAST_CHANGE = 15 / 255
"""Mean luma change from frame to frame below which nothing is a cut."""
_TIMES_NEIGHBOURS = 3.0
_NEIGHBOURS = 2
"""A cut changes the picture at least three times as much as the two frames before and the two after it do: a pan or a shaking
camera changes all of them alike. These three are the defaults of PySceneDetect's AdaptiveDetector, there measured in HSV."""
_SHORTEST = 6
"""Frames. A flash is not two cuts."""


class SceneMeter:
    """How much each frame differs from the one before, as a stream."""

    def __init__(self) -> None:
        self._previous: NDArray[np.float32] | None = None
        self._changes: list[float] = []

    def add(self, frame: av.VideoFrame) -> None:
        lattice = luma_lattice(frame)
        if self._previous is None or self._previous.shape != lattice.shape:
            self._changes.append(0.0)
        else:
            self._changes.append(float(np.abs(lattice - self._previous).mean()))
        self._previous = lattice

    def cuts(self) -> tuple[int, ...]:
        """The frames with which a new scene begins."""
        return find_cuts(np.array(self._changes))


def luma_lattice(frame: av.VideoFrame) -> NDArray[np.float32]:
    """About 48x48 samples of the first plane, 0..1. Of packed formats it takes bytes as they come, which shows a cut as well."""
    plane, bits = frame.planes[0], frame.format.components[0].bits
    kind: type[np.generic] = np.uint8 if bits <= 8 else np.uint16
    lines = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)[: frame.height]
    width = min(frame.width, lines.shape[1])
    picked = lines[:: lattice_axis(frame.height)[0], : width : lattice_axis(width)[0]]
    return picked.astype(np.float32) / np.float32(2**bits - 1)


def lattice_axis(length: int) -> tuple[int, int]:
    """Step and number of the lattice's points along a side of ``length`` samples."""
    step = max(1, length // _LATTICE)
    return step, -(-length // step)


def find_cuts(changes: NDArray[np.floating]) -> tuple[int, ...]:
    """The cuts in ``changes`` ``[frames]``, each the mean luma change, 0..1, from the frame before."""
    cuts: list[int] = []
    last = 0
    for i in np.flatnonzero(changes >= _LEAST_CHANGE):
        around = np.concatenate((changes[max(1, i - _NEIGHBOURS) : i], changes[i + 1 : i + 1 + _NEIGHBOURS]))
        calm = float(around.mean()) if len(around) else 0.0
        if changes[i] >= _TIMES_NEIGHBOURS * calm and i - last >= _SHORTEST:
            cuts.append(int(i))
            last = int(i)
    return tuple(cuts)
