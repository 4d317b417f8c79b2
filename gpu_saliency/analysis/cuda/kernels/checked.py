"""The CUDA kernels as Python methods, which check shapes, types and ranges before the launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpu_saliency.analysis.activity import TEMPORAL_WEIGHT
from gpu_saliency.analysis.aggregate import MOTION_FLOOR
from gpu_saliency.analysis.cuda.decode.surface import Surface
from gpu_saliency.analysis.cuda.kernels.launch import CudaLaunch, Launch, address_of
from gpu_saliency.analysis.track import ACTIVITY_STEPS
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.contract import InputSize
from gpu_saliency.source.scenes import lattice_axis

BLOCK_THREADS = 256
"""Threads of a one-dimensional CUDA block; equals ``BLOCK_THREADS`` in portable.cuh."""
_TILE = (16, 16)
_MOST_BLOCKS = 65535
_MOST_PIXELS = 4096
"""Largest side of the model's input in pixels."""
AGGREGATOR_MODES = {"mean": 0, "ema": 1, "max": 2, "motion-weighted": 3}

DeviceArray = Any
"""A C-contiguous ``cupy.ndarray``; declared as ``Any``, because type checks must work without CuPy."""


class Kernels:
    """Launches the CUDA kernels, one method for each. Arrays are in GPU memory and C-contiguous.

    All methods raise `ValueError` for an array of the wrong shape or type.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    @classmethod
    def on(cls, cuda_stream: Any) -> Kernels:
        """Create an instance that launches on ``cuda_stream``."""
        return cls(CudaLaunch(cuda_stream))

    def picture_to_input(
        self,
        surface: Surface,
        size: InputSize,
        orientation: int,
        to_rgb: DeviceArray,
        model_input: DeviceArray,
        luma: DeviceArray,
        *,
        whole_codes: bool = True,
    ) -> None:
        """Shrink, turn and mirror ``surface``; writes one picture of the model's input, and its luma.

        ``to_rgb`` is float32 ``[12]`` from `colour.yuv_to_rgb_matrix`; ``model_input`` float32 ``[3, H, W]``; ``luma`` float32
        ``[h, w]`` of the content, 0..1. ``orientation`` is `Orientation.code`, 0 to 7. ``whole_codes`` rounds R'G'B'
        to codes first, as on the CPU path.
        """
        (content_w, content_h), (padded_w, padded_h) = size.content, size.padded
        launch = self.prepare_picture_to_input(size, orientation, whole_codes=whole_codes)
        _check("to_rgb", to_rgb, np.float32, (12,))
        _check("model_input", model_input, np.float32, (3, padded_h, padded_w))
        _check("luma", luma, np.float32, (content_h, content_w))
        launch(surface, *(address_of(array) for array in (to_rgb, model_input, luma)))

    def prepare_picture_to_input(
        self, size: InputSize, orientation: int, *, whole_codes: bool = True
    ) -> Callable[[Surface, int, int, int], None]:
        """Return `picture_to_input` for many pictures: a function of surface and the addresses of matrix, input and luma.

        The caller guarantees what `picture_to_input` checks of the arrays.
        """
        (content_w, content_h), (padded_w, padded_h) = size.content, size.padded
        _check_size(size)
        _check_orientation(orientation)
        grid = (-(-padded_w // _TILE[0]), -(-padded_h // _TILE[1]))
        launch = self._launch.prepare("picture_to_input", grid, _TILE)
        sizes = (content_w, content_h, padded_w, padded_h, orientation, whole_codes)

        def run(surface: Surface, to_rgb: int, model_input: int, luma: int) -> None:
            layout = surface.layout
            planes = (*surface.planes, 0, 0)[:3]
            launch(
                *planes,
                surface.luma_pitch,
                surface.chroma_pitch,
                surface.width,
                surface.height,
                *layout.chroma_shift,
                *layout.chroma_offset,
                layout.sample_bytes,
                layout.sample_shift,
                to_rgb,
                *sizes,
                model_input,
                luma,
            )

        return run

    def scene_change(self, surface: Surface, has_previous: bool, lattice: DeviceArray, change: DeviceArray) -> None:
        """Write the mean luma change of ``surface`` from the frame before to ``change`` float32 ``[1]``; 0 without a frame before.

        ``lattice``, float32 of `lattice_shape`, holds the luma of the frame before; the kernel replaces it with that of this frame.
        """
        _check("change", change, np.float32, (1,))
        self.prepare_scene_change(surface, lattice)(surface.planes[0], has_previous, address_of(change))

    def prepare_scene_change(self, like: Surface, lattice: DeviceArray) -> Callable[[int, bool, int], None]:
        """Return `scene_change` for many surfaces that differ from ``like`` in their addresses only.

        It is a function of the address of luma, ``has_previous`` and the address of one float32 for the change.
        """
        (step_x, cols), (step_y, rows) = lattice_axis(like.width), lattice_axis(like.height)
        _check("lattice", lattice, np.float32, (rows, cols))
        launch = self._launch.prepare("scene_change", (1,), (BLOCK_THREADS,))
        layout, address = like.layout, address_of(lattice)
        middle = (like.luma_pitch, layout.sample_bytes, layout.sample_shift, 2**layout.bits - 1, step_x, step_y, cols, rows)

        def run(luma: int, has_previous: bool, change: int) -> None:
            launch(luma, *middle, has_previous, address, change)

        return run

    def saliency_blocks(
        self,
        maps: DeviceArray,
        size: InputSize,
        orientation: int,
        frame_size: tuple[int, int],
        tolerance: float,
        breach: DeviceArray,
        out: DeviceArray,
        *,
        square_root: bool = False,
    ) -> None:
        """Reduce ``maps`` float32 ``[n, H, W]`` to codes ``out`` uint8 ``[n, rows, cols]``, with ``square_root`` to those of gaze.

        ``frame_size`` is (width, height) as coded. ``breach`` int32 ``[1]`` is set to 1 if a value inside the content is not a
        number or lies outside 0..1 by more than ``tolerance``; it is never reset to 0.
        """
        (content_w, content_h), (padded_w, padded_h) = size.content, size.padded
        count, (rows, cols) = len(maps), grid_shape(*frame_size)
        _check_size(size)
        _check("maps", maps, np.float32, (count, padded_h, padded_w))
        _check("breach", breach, np.int32, (1,))
        _check("out", out, np.uint8, (count, rows, cols))
        _check_orientation(orientation)
        arguments = [maps, count, content_w, content_h, padded_w, padded_h, orientation, *frame_size, rows, cols]
        self._launch("saliency_blocks", *_linear(count * rows * cols), [*arguments, tolerance, breach, square_root, out])

    def activity_blocks(
        self,
        luma: DeviceArray,
        previous: DeviceArray | None,
        orientation: int,
        frame_size: tuple[int, int],
        out: DeviceArray,
    ) -> None:
        """Reduce ``luma`` float32 ``[n, h, w]`` to activity codes ``out`` uint8 ``[n, rows, cols]``.

        ``previous`` float32 ``[h, w]`` is the luma of the sample before the first, ``None`` at the beginning of the clip.
        """
        count, content_h, content_w = luma.shape
        rows, cols = grid_shape(*frame_size)
        _check("luma", luma, np.float32, (count, content_h, content_w))
        _check("out", out, np.uint8, (count, rows, cols))
        if previous is not None:
            _check("previous", previous, np.float32, (content_h, content_w))
        _check_orientation(orientation)
        arguments = [luma, previous, count, content_w, content_h, orientation, *frame_size, rows, cols]
        self._launch("activity_blocks", *_linear(count * rows * cols), [*arguments, TEMPORAL_WEIGHT, ACTIVITY_STEPS, out])

    def luma_motion(self, luma: DeviceArray, previous: DeviceArray | None, out: DeviceArray) -> None:
        """Write the mean change of ``luma`` float32 ``[n, h, w]`` from the sample before to ``out`` float32 ``[n]``."""
        count, content_h, content_w = luma.shape
        _check("luma", luma, np.float32, (count, content_h, content_w))
        _check("out", out, np.float32, (count,))
        if previous is not None:
            _check("previous", previous, np.float32, (content_h, content_w))
        self._launch("luma_motion", (count,), (BLOCK_THREADS,), [luma, previous, content_h * content_w, out])

    def reduce_saliency(
        self,
        codes: DeviceArray,
        decoded: DeviceArray,
        motion: DeviceArray,
        starts: DeviceArray,
        aggregator: str,
        ema_alpha: float,
        out: DeviceArray,
    ) -> None:
        """`reduce.reduce_saliency` or `reduce_gaze`: uint8 ``[samples, rows, cols]`` to float32 ``[segments, rows, cols]``.

        ``decoded`` float32 ``[256]``: `track.decode_saliency` or `decode_gaze` of each code. ``motion`` float32 ``[samples]``
        after `reduce.motion_within_scenes`. ``starts`` int32 ``[segments + 1]`` ends with the number of samples.
        """
        samples, segments, cells = self._check_reduction(codes, starts, out)
        _check("decoded", decoded, np.float32, (256,))
        _check("motion", motion, np.float32, (samples,))
        arguments = [codes, decoded, motion, starts, segments, cells, AGGREGATOR_MODES[aggregator], ema_alpha, MOTION_FLOOR, out]
        self._launch("reduce_saliency", *_linear(segments * cells), arguments)

    def reduce_activity(
        self, activity: DeviceArray, counts: DeviceArray, starts: DeviceArray, decoded: DeviceArray, out: DeviceArray
    ) -> None:
        """Reduce ``activity`` uint8 ``[samples, rows, cols]`` to ``out`` float32 ``[segments, rows, cols]``.

        The kernel computes `reduce.reduce_activity`. ``counts`` uint8 ``[samples]`` is 0 for the first sample after a cut
        (`SaliencyTrack.after_cut`), else 1; ``starts`` as in `reduce_saliency`; ``decoded`` float32 ``[256]`` is
        `track.decode_activity` of each code.
        """
        samples, segments, cells = self._check_reduction(activity, starts, out)
        _check("counts", counts, np.uint8, (samples,))
        _check("decoded", decoded, np.float32, (256,))
        self._launch("reduce_activity", *_linear(segments * cells), [activity, counts, starts, segments, cells, decoded, out])

    @staticmethod
    def _check_reduction(codes: DeviceArray, starts: DeviceArray, out: DeviceArray) -> tuple[int, int, int]:
        """Check the arguments that both reductions share; returns the numbers of samples, segments and cells."""
        samples, rows, cols = codes.shape
        segments = len(starts) - 1
        _check("codes", codes, np.uint8, (samples, rows, cols))
        _check("starts", starts, np.int32, (segments + 1,))
        _check("out", out, np.float32, (segments, rows, cols))
        return samples, segments, rows * cols


def lattice_shape(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of the luma lattice of `Kernels.scene_change`, for a frame of that coded size."""
    return lattice_axis(height)[1], lattice_axis(width)[1]


def _linear(elements: int) -> tuple[tuple[int], tuple[int]]:
    """Sizes of the CUDA grid and block for a grid-stride loop over ``elements``."""
    return (min(_MOST_BLOCKS, -(-elements // BLOCK_THREADS)),), (BLOCK_THREADS,)


def _check(name: str, array: DeviceArray, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if tuple(array.shape) != shape or array.dtype != dtype or not array.flags.c_contiguous or 0 in shape:
        raise ValueError(f"{name} is {array.dtype} {tuple(array.shape)}, not contiguous {np.dtype(dtype)} {shape}")


def _check_size(size: InputSize) -> None:
    """Raise `ValueError` for a size at which the kernels' 32-bit integers could overflow, with frames up to MAX_SIDE."""
    if (
        max(size.padded) > _MOST_PIXELS
        or min(size.content) < 1
        or any(c > p for c, p in zip(size.content, size.padded, strict=True))
    ):
        raise ValueError(f"a model input of {size.padded} with a picture of {size.content}; at most {_MOST_PIXELS} a side")


def _check_orientation(orientation: int) -> None:
    if orientation not in range(8):
        raise ValueError(f"orientation {orientation}")
