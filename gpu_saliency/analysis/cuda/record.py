"""What a run keeps on the device: of each range of the clip its codes and changes, joined at the end as if it had been one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.ranges import FrameRange
from gpu_saliency.analysis.cuda.decode.surface import Surface
from gpu_saliency.analysis.cuda.kernels.launch import Kernels
from gpu_saliency.analysis.cuda.memory import Traffic, to_host
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.contract import TOLERANCE, InputSize
from gpu_saliency.source.clip import Clip

_CHUNK = 4096
"""Frames; the changes of a long clip grow by 16 KiB at a time."""


class SceneChanges:
    """The change from frame to frame within one range. Filled on the lane's stream."""

    def __init__(self, lattice: tuple[int, int]) -> None:
        import cupy

        self.frames = 0
        self.first: Any = None
        self.last = cupy.empty(lattice, np.float32)
        """Lattices of the first frame and of the one added last: what joining two ranges needs."""
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
        """To be copied to the host: the two lattices, and the changes in chunks of which the last is not full."""
        return [self.first, self.last, *self._chunks]


def join_changes(parts: Sequence[tuple[int, Sequence[NDArray[np.float32]]]]) -> NDArray[np.float32]:
    """``[frames]``: changes of the whole clip from each range's (frames, `SceneChanges.arrays`), in order.

    The first frame of a range is compared with the last one of the range before here, by the definition of scene.py.
    """
    joined: list[NDArray[np.float32]] = []
    last: NDArray[np.float32] | None = None
    for frames, (first, end, *chunks) in parts:
        changes = np.concatenate(chunks)[:frames]
        if last is not None:
            changes[0] = np.abs(first - last).mean()
        joined.append(changes)
        last = end
    return np.concatenate(joined)


@dataclass(slots=True, eq=False)
class RangeRecord:
    """What came of one range; arrays on its GPU. Filled by its lane (frames, scenes) and by the model's consumer (all else)."""

    part: FrameRange | None
    """``None``: the whole clip, of which nobody knows the length yet."""
    gpu: int
    done: bool = False
    frames: int = 0
    scenes: SceneChanges | None = None
    sample_frame: list[int] = field(default_factory=list)
    saliency: list[Any] = field(default_factory=list)
    activity: list[Any] = field(default_factory=list)
    motion: list[Any] = field(default_factory=list)
    """uint8 ``[n, rows, cols]``, the same, float32 ``[n]``; of each batch."""
    first_luma: Any = None
    last_luma: Any = None
    """float32 ``[h, w]`` of the first and of the last sample."""

    def fresh(self) -> RangeRecord:
        """The same range with nothing recorded."""
        return RangeRecord(self.part, self.gpu)


class Recorder:
    """Reduces what the model answers to codes and keeps them; for one clip, whatever the GPU."""

    def __init__(self, clip: Clip, size: InputSize) -> None:
        self._frame_size = (clip.width, clip.height)
        self._grid = grid_shape(clip.width, clip.height)
        self._size, self._turns = size, clip.rotation // 90
        self._breaches: dict[int, Any] = {}

    def add(self, record: RangeRecord, numbers: list[int], maps: Any, luma: Any, cuda_stream: Any) -> None:
        """``maps`` float32 ``[B, H, W]`` and ``luma`` ``[B, h, w]`` of ``numbers``; on ``cuda_stream`` of the current device."""
        import cupy

        count = len(numbers)
        kernels = Kernels.on(cuda_stream)
        with cuda_stream:
            saliency, activity = (cupy.empty((count, *self._grid), np.uint8) for _ in range(2))
            motion = cupy.empty(count, np.float32)
            if record.gpu not in self._breaches:
                self._breaches[record.gpu] = cupy.zeros(1, np.int32)
            breach = self._breaches[record.gpu]
            kernels.saliency_blocks(maps[:count], self._size, self._turns, self._frame_size, TOLERANCE, breach, saliency)
            self._add_luma_codes(kernels, luma[:count], record.last_luma, activity, motion)
            if record.first_luma is None:
                record.first_luma = luma[0].copy()
            record.last_luma = luma[count - 1].copy()
        record.sample_frame += numbers
        record.saliency.append(saliency)
        record.activity.append(activity)
        record.motion.append(motion)

    def _add_luma_codes(self, kernels: Kernels, luma: Any, previous: Any, activity: Any, motion: Any) -> None:
        kernels.activity_blocks(luma, previous, self._turns, self._frame_size, activity)
        kernels.luma_motion(luma, previous, motion)

    def was_breached(self, gpu: int, cuda_stream: Any, traffic: Traffic) -> bool:
        """Whether an answer on ``gpu``, the current device, broke the contract."""
        if gpu not in self._breaches:
            return False
        (breach,) = to_host([self._breaches[gpu]], cuda_stream, traffic)
        return bool(breach[0])

    def join(self, records: Sequence[RangeRecord], gpu: int, cuda_stream: Any, traffic: Traffic) -> tuple[Any, Any, Any]:
        """Saliency, activity and motion of all ``records`` in order, on ``gpu``, the current device; all their work has finished.

        The first sample of a range was recorded as if nothing had been before it, and is done again here against the last one
        before: by the same kernels, so that the result is that of an undivided clip.
        """
        import cupy

        def here(array: Any, owner: int) -> Any:
            if owner == gpu:
                return array
            # By way of the host, which works between any two GPUs; once per range.
            with cupy.cuda.Device(owner):
                copy = cupy.asnumpy(array)
            traffic.to_host += copy.nbytes
            traffic.to_device += copy.nbytes
            return cupy.asarray(copy)

        joined: list[list[Any]] = [[], [], []]
        previous = None
        kernels = Kernels.on(cuda_stream)
        with cuda_stream:
            for record in records:
                if not record.sample_frame:
                    continue
                parts = [
                    here(_concatenated(chunks, record.gpu), record.gpu)
                    for chunks in (record.saliency, record.activity, record.motion)
                ]
                if previous is not None:
                    first = here(record.first_luma, record.gpu)
                    self._add_luma_codes(kernels, first[None], previous, parts[1][:1], parts[2][:1])
                previous = here(record.last_luma, record.gpu)
                for whole, part in zip(joined, parts, strict=True):
                    whole.append(part)
            saliency, activity, motion = (cupy.concatenate(whole) for whole in joined)
        return saliency, activity, motion


def _concatenated(chunks: list[Any], gpu: int) -> Any:
    import cupy

    with cupy.cuda.Device(gpu):
        return cupy.concatenate(chunks)
