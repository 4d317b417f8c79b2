"""The recorder of the device ``cuda``: reduces maps to samples that stay on the GPU, range by range, and joins the ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.decode.ranges import FrameRange
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import Traffic, copy_on_device, on_gpu, to_host
from gpu_saliency.analysis.cuda.scene_changes import SceneChanges
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.contract import TOLERANCE, InputSize
from gpu_saliency.model.maps import Maps
from gpu_saliency.source.clip import Clip


@dataclass(slots=True, eq=False)
class RangeSamples:
    """The samples and scene changes of one range; its arrays are on its GPU.

    Filled by the range's lane (``frames``, ``scenes``) and by the thread that runs the model (the other fields).
    """

    frame_range: FrameRange | None
    """``None``: the whole clip, if its length is not known before it is decoded."""
    gpu: int
    done: bool = False
    frames: int = 0
    scenes: SceneChanges | None = None
    sample_frame: list[int] = field(default_factory=list)
    saliency: list[Any] = field(default_factory=list)
    activity: list[Any] = field(default_factory=list)
    motion: list[Any] = field(default_factory=list)
    """The arrays of each batch: saliency and activity uint8 ``[n, rows, cols]``, motion float32 ``[n]``."""
    gaze: list[Any] = field(default_factory=list)
    """uint8 ``[n, rows, cols]`` of each batch; empty where the model has no gaze map."""
    first_luma: Any = None
    last_luma: Any = None
    """Luma of the first and of the last sample, float32 ``[h, w]``."""

    def emptied(self) -> RangeSamples:
        """Return the same range without samples, to be decoded again."""
        return RangeSamples(self.frame_range, self.gpu)


class DeviceRecorder:
    """Reduces the maps of one clip, on all its GPUs, to bytes on the block grid of the coded frame."""

    def __init__(self, clip: Clip, size: InputSize) -> None:
        self._frame_size = (clip.width, clip.height)
        self._grid = grid_shape(clip.width, clip.height)
        self._size, self._orientation = size, clip.orientation.code
        self._breaches: dict[int, Any] = {}

    def add(self, target: RangeSamples, numbers: list[int], maps: Maps, luma: Any, cuda_stream: Any) -> None:
        """Add the samples of frames ``numbers`` to ``target``, on ``cuda_stream`` of the current device.

        ``maps`` are ``[B, H, W]``, ``luma`` float32 ``[B, h, w]``, with B at least the length of ``numbers``.
        """
        import cupy

        count = len(numbers)
        kernels = Kernels.on(cuda_stream)
        with cuda_stream:
            saliency, activity = (cupy.empty((count, *self._grid), np.uint8) for _ in range(2))
            motion = cupy.empty(count, np.float32)
            if target.gpu not in self._breaches:
                self._breaches[target.gpu] = cupy.zeros(1, np.int32)
            breach = self._breaches[target.gpu]
            place = (self._size, self._orientation, self._frame_size, TOLERANCE, breach)
            kernels.saliency_blocks(maps.saliency[:count], *place, saliency)
            if maps.gaze is not None:
                target.gaze.append(cupy.empty((count, *self._grid), np.uint8))
                kernels.saliency_blocks(maps.gaze[:count], *place, target.gaze[-1], square_root=True)
            self._add_luma_codes(kernels, luma[:count], target.last_luma, activity, motion)
            if target.first_luma is None:
                target.first_luma = luma[0].copy()
            target.last_luma = luma[count - 1].copy()
        target.sample_frame += numbers
        target.saliency.append(saliency)
        target.activity.append(activity)
        target.motion.append(motion)

    def _add_luma_codes(self, kernels: Kernels, luma: Any, previous: Any, activity: Any, motion: Any) -> None:
        kernels.activity_blocks(luma, previous, self._orientation, self._frame_size, activity)
        kernels.luma_motion(luma, previous, motion)

    def was_breached(self, gpu: int, cuda_stream: Any, traffic: Traffic) -> bool:
        """Whether a map on ``gpu``, which is the current device, broke the model contract."""
        if gpu not in self._breaches:
            return False
        (breach,) = to_host([self._breaches[gpu]], cuda_stream, traffic)
        return bool(breach[0])

    def join(self, ranges: Sequence[RangeSamples], gpu: int, cuda_stream: Any, traffic: Traffic) -> list[Any]:
        """Saliency, activity, motion and, where there is one, gaze of all ``ranges`` in order, on ``gpu``, the current device.

        All work on the ranges must have finished. The first sample of a range was recorded without a sample before it; its activity
        and motion are computed again here from the last sample of the range before, by the same kernels, so that the result equals
        that of an undivided clip.
        """
        import cupy

        def here(array: Any, owner: int) -> Any:
            if owner == gpu:
                return array
            # A copy through the host works between any two GPUs.
            with on_gpu(owner):
                copy = cupy.asnumpy(array)
            traffic.to_host += copy.nbytes
            traffic.to_device += copy.nbytes
            return cupy.asarray(copy)

        total = sum(len(one.sample_frame) for one in ranges)
        previous = None
        kernels = Kernels.on(cuda_stream)
        with cuda_stream:
            joined = [cupy.empty((total, *self._grid), np.uint8) for _ in range(2)]
            joined.append(cupy.empty(total, np.float32))
            if any(one.gaze for one in ranges):
                joined.append(cupy.empty((total, *self._grid), np.uint8))
            begin = 0
            for one in ranges:
                if not one.sample_frame:
                    continue
                for chunks, target in zip((one.saliency, one.activity, one.motion, one.gaze), joined, strict=False):
                    at = begin
                    for chunk in chunks:
                        copy_on_device(here(chunk, one.gpu), target[at : at + len(chunk)], cuda_stream)
                        at += len(chunk)
                if previous is not None:
                    first = here(one.first_luma, one.gpu)
                    activity, motion = (target[begin : begin + 1] for target in joined[1:3])
                    self._add_luma_codes(kernels, first[None], previous, activity, motion)
                previous = here(one.last_luma, one.gpu)
                begin += len(one.sample_frame)
        return joined
