"""Draws saliency and plan as colours over a greyscale picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.draw.canvas import Picture
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.draw.panel import panel_cells
from gpu_saliency.grid import BLOCK_SIZE
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.moment import Moment
from gpu_saliency.source.clip import Clip

OPACITY = 0.6
"""Opacity, 0..1, of the colours over the greyscale picture."""
_OPACITY_256 = round(256 * OPACITY)


def scale_end(plan: RoiPlan) -> float:
    """The end of the colour scale in QP: the largest effective offset of the whole ``plan``, rounded up, at least 1.

    So a colour means the same offset in every frame.
    """
    lows, highs = plan.qp_offset.min(axis=(1, 2)), plan.qp_offset.max(axis=(1, 2))
    largest = np.maximum(np.abs(lows + plan.recentre), np.abs(highs + plan.recentre)).max()
    return max(1.0, float(np.ceil(largest)))


class Layers:
    """Draws maps and plans over upright pictures of one size. Caches the colours of the last map and segment."""

    def __init__(self, clip: Clip, panel: tuple[int, int], top: float) -> None:
        """``panel`` is the width and height of the pictures in pixels, ``top`` the end of the offset scale (`scale_end`)."""
        self._top = top
        self._cells = panel_cells(clip, *panel)
        self._smooth = _Smooth(clip, *panel)
        self._heat_table = _weighted(saliency_colour(np.arange(256) / 255))
        self._cached: dict[str, tuple[int, NDArray[np.uint16]]] = {}

    def overlay(self, kind: str, moment: Moment, picture: Picture, target: Picture) -> None:
        """Draw ``picture`` in grey with the colours of ``kind`` (``heat`` or ``plan``) over it to ``target``, of the same size."""
        # 16-bit integers, one plane at a time: five times as fast as float pixels.
        mixed = luma(picture) * np.uint16(256 - _OPACITY_256)
        for channel, colours in enumerate(self._colours(kind, moment)):
            np.right_shift(mixed + colours, 8, out=target[..., channel], casting="unsafe")

    def _colours(self, kind: str, moment: Moment) -> NDArray[np.uint16]:
        """The colours of ``kind`` for the frame, ``[3, height, width]``, 0..255 times the opacity in 1/256."""
        key = moment.sample if kind == "heat" else moment.segment
        cached = self._cached.get(kind)
        if cached is not None and cached[0] == key:
            return cached[1]
        if kind == "heat":
            colours = self._heat_table[:, self._smooth(moment.saliency)]
        else:
            colours = _weighted(offset_colour(moment.effective, self._top))[:, *self._cells]
        self._cached[kind] = (key, colours)
        return colours


class _Smooth:
    """Resamples a block grid to an upright panel, bilinear between the centres of the blocks."""

    def __init__(self, clip: Clip, width: int, height: int) -> None:
        self._orientation = clip.orientation
        coded = (width, height) if self._orientation.turns % 2 == 0 else (height, width)
        self._across = _between(clip.width, coded[0])
        self._down = _between(clip.height, coded[1])

    def __call__(self, grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resample ``grid`` ``[rows, cols]`` to ``[height, width]``."""
        spread = np.rint(self._down @ grid.astype(np.float32) @ self._across.T).astype(np.uint8)
        return self._orientation.upright(spread)


def _between(length: int, pixels: int) -> NDArray[np.float32]:
    """The weights ``[pixels, blocks]`` of the linear interpolation along one axis of ``length`` source pixels."""
    blocks = -(-length // BLOCK_SIZE)
    starts = np.arange(blocks) * BLOCK_SIZE
    centres = (starts + np.minimum(starts + BLOCK_SIZE, length)) / 2
    at = (np.arange(pixels) + 0.5) * length / pixels
    return np.stack([np.interp(at, centres, unit) for unit in np.eye(blocks)], axis=1).astype(np.float32)


def _weighted(colours: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Convert colours ``[..., 3]`` to planes ``[3, ...]``, multiplied by the opacity in 1/256."""
    return np.ascontiguousarray(np.moveaxis(np.rint(colours * _OPACITY_256).astype(np.uint16), -1, 0))


def luma(picture: Picture) -> NDArray[np.uint16]:
    """The luma of ``picture``, ``[height, width]``, 0..255."""
    red, green, blue = (picture[..., i].astype(np.uint16) for i in range(3))
    return np.asarray((77 * red + 150 * green + 29 * blue) >> 8, np.uint16)
