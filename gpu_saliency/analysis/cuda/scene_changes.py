"""Measures the luma change from frame to frame on the GPU, within each range, and joins the ranges on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.surface import Surface
from gpu_saliency.analysis.cuda.kernels.checked import Kernels

_CHUNK = 4096
"""Frames for which memory is allocated at a time, 16 KiB."""


class SceneChanges:
    """Collects the luma change of each frame of one range from the frame before; works on the lane's stream."""

    def __init__(self, lattice: tuple[int, int]) -> None:
        import cupy

        self.frames = 0
        self.first: Any = None
        self.last = cupy.empty(lattice, np.float32)
        """Luma lattices of the first frame and of the latest; `join_changes` compares them across ranges."""
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
        """The arrays to copy to the host: the two lattices, and the changes in chunks; the last chunk may be partly unused."""
        return [self.first, self.last, *self._chunks]


def join_changes(ranges: Sequence[tuple[int, Sequence[NDArray[np.float32]]]]) -> NDArray[np.float32]:
    """Join the changes of all ranges in order: ``[frames]`` of the whole clip.

    Each range is given as its number of frames and its `SceneChanges.arrays`. The first frame of a range is compared here with the
    last one of the range before, with the measure of source/scenes.py.
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
