"""Measures the luma change from frame to frame on the GPU, within each range, and joins the ranges on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.surface import Surface
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import copy_on_device

_CHUNK = 4096
"""Frames for which memory is allocated at a time, 16 KiB."""
_BYTES = 4
"""Bytes of a change, a float32."""


class SceneChanges:
    """Collects the luma change of each frame of one range from the frame before; works on the lane's stream."""

    def __init__(self, lattice: tuple[int, int]) -> None:
        import cupy

        self.frames = 0
        # Not memory of the lane's stream: then what a lane needs would depend on the ranges that it takes.
        self.first, self.last = (cupy.empty(lattice, np.float32) for _ in range(2))
        """Luma lattices of the first frame and of the latest; `join_changes` compares them across ranges."""
        self._chunks: list[Any] = []
        self._next = self._end = 0
        """Address of the next frame's change, and of the end of the last chunk."""
        self._like: Surface | None = None
        self._launch: Callable[[int, bool, int], None]

    def add(self, surface: Surface, kernels: Kernels, cuda_stream: Any) -> None:
        like = self._like
        if like is None or surface.luma_pitch != like.luma_pitch or _differ(surface, like):
            self._launch, self._like = kernels.prepare_scene_change(surface, self.last), surface
        if self._next == self._end:
            self._add_chunk()
        self._launch(surface.planes[0], self.frames > 0, self._next)
        self._next += _BYTES
        if self.frames == 0:
            copy_on_device(self.last, self.first, cuda_stream)
        self.frames += 1

    def _add_chunk(self) -> None:
        import cupy

        chunk = cupy.empty(_CHUNK, np.float32)
        self._chunks.append(chunk)
        self._next = int(chunk.data.ptr)
        self._end = self._next + _CHUNK * _BYTES

    def arrays(self) -> list[Any]:
        """The arrays to copy to the host: the two lattices, and the changes in chunks."""
        used = self.frames - _CHUNK * (len(self._chunks) - 1)
        return [self.first, self.last, *self._chunks[:-1], self._chunks[-1][:used]]


def _differ(one: Surface, other: Surface) -> bool:
    """Whether two surfaces differ in size or layout. The layout is often the same object, which is compared faster."""
    sizes = one.width != other.width or one.height != other.height
    return sizes or (one.layout is not other.layout and one.layout != other.layout)


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
