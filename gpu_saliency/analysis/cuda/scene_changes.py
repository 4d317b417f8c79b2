"""The change from frame to frame, measured on the GPU within each range and joined on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.surface import Surface
from gpu_saliency.analysis.cuda.kernels.checked import Kernels

_CHUNK = 4096
"""Frames; the changes of a long clip grow by 16 KiB at a time."""


class SceneChanges:
    """The change from frame to frame within one range. Filled on the lane's stream."""

    def __init__(self, lattice: tuple[int, int]) -> None:
        import cupy

        self.frames = 0
        self.first: Any = None
        self.last = cupy.empty(lattice, np.float32)
        """Lattices of the first frame and of the one added last; `join_changes` compares them across ranges."""
        self._chunks: list[Any] = []

    def add(self, surface: Surface, kernels: Kernels, cuda_stream: Any) -> None:
        import cupy

        place = self.frames % _CHUNK
        if place == 0:
            self._chunks.append(cupy.empty(_CHUNK, np.float32))
        kernels.scene_change(surface, self.frames > 0, self.last, self._chunks[-1][place : place + 1])
        if self.frames == 0:
            with cuda_stream:
                self.first = self.last.copy()
        self.frames += 1

    def arrays(self) -> list[Any]:
        """The arrays to copy to the host: the two lattices, and the changes in chunks of which the last is not full."""
        return [self.first, self.last, *self._chunks]


def join_changes(ranges: Sequence[tuple[int, Sequence[NDArray[np.float32]]]]) -> NDArray[np.float32]:
    """``[frames]``: changes of the whole clip from each range's (frames, `SceneChanges.arrays`), in order.

    The first frame of a range is compared with the last one of the range before here, by the definition of source/scenes.py.
    """
    joined: list[NDArray[np.float32]] = []
    last: NDArray[np.float32] | None = None
    for frames, (first, end, *chunks) in ranges:
        changes = np.concatenate(chunks)[:frames]
        if last is not None:
            changes[0] = np.abs(first - last).mean()
        joined.append(changes)
        last = end
    return np.concatenate(joined)
