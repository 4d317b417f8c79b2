"""Saliency and plan as colour over a picture in grey."""

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
"""Of the colours, over the picture in grey."""
_PART = round(256 * OPACITY)


def scale_end(plan: RoiPlan) -> float:
    """End of the scale of QP offsets for all of ``plan``: the same colour means the same number in every frame."""
    lows, highs = plan.qp_offset.min(axis=(1, 2)), plan.qp_offset.max(axis=(1, 2))
    largest = np.maximum(np.abs(lows + plan.recentre), np.abs(highs + plan.recentre)).max()
    return max(1.0, float(np.ceil(largest)))


class Layers:
    """Lays maps and plans over pictures of one size, upright. Keeps the colours of the last map and of the last segment."""

    def __init__(self, clip: Clip, panel: tuple[int, int], top: float) -> None:
        """``panel`` is the width and the height of the pictures in pixels, ``top`` the end of the scale of offsets."""
        self._top = top
        self._cells = panel_cells(clip, *panel)
        self._smooth = _Smooth(clip, *panel)
        self._heat_table = _weighed(saliency_colour(np.arange(256) / 255))
        self._kept: dict[str, tuple[int, NDArray[np.uint16]]] = {}

    def lay(self, kind: str, moment: Moment, picture: Picture, target: Picture) -> None:
        """``picture`` with the colours of ``kind``, ``heat`` or ``plan``, into ``target``, a picture of the same size."""
        # In sixteen bits and a plane at a time: a fifth of the time that pixels of floats take.
        mixed = _grey(picture) * np.uint16(256 - _PART)
        for channel, colours in enumerate(self._colours(kind, moment)):
            np.right_shift(mixed + colours, 8, out=target[..., channel], casting="unsafe")

    def _colours(self, kind: str, moment: Moment) -> NDArray[np.uint16]:
        """``[3, height, width]``, times their opacity in 256."""
        key = moment.sample if kind == "heat" else moment.segment
        kept = self._kept.get(kind)
        if kept is not None and kept[0] == key:
            return kept[1]
        if kind == "heat":
            colours = self._heat_table[:, self._smooth(moment.saliency)]
        else:
            colours = _weighed(offset_colour(moment.effective, self._top))[:, *self._cells]
        self._kept[kind] = (key, colours)
        return colours


class _Smooth:
    """A block grid to an upright panel, bilinear between the centres of the blocks."""

    def __init__(self, clip: Clip, width: int, height: int) -> None:
        self._turns = clip.rotation // 90
        coded = (width, height) if self._turns % 2 == 0 else (height, width)
        self._across = _between(clip.width, coded[0])
        self._down = _between(clip.height, coded[1])

    def __call__(self, grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``[rows, cols]`` to ``[height, width]``."""
        spread = np.rint(self._down @ grid.astype(np.float32) @ self._across.T).astype(np.uint8)
        return np.rot90(spread, self._turns)


def _between(length: int, pixels: int) -> NDArray[np.float32]:
    """``[pixels, blocks]``: weights of the blocks of ``length`` source pixels in each of ``pixels`` equal parts."""
    blocks = -(-length // BLOCK_SIZE)
    starts = np.arange(blocks) * BLOCK_SIZE
    centres = (starts + np.minimum(starts + BLOCK_SIZE, length)) / 2
    at = (np.arange(pixels) + 0.5) * length / pixels
    return np.stack([np.interp(at, centres, one) for one in np.eye(blocks)], axis=1).astype(np.float32)


def _weighed(colours: NDArray[np.float64]) -> NDArray[np.uint16]:
    """``[..., 3]`` to ``[3, ...]``."""
    return np.ascontiguousarray(np.moveaxis(np.rint(colours * _PART).astype(np.uint16), -1, 0))


def _grey(picture: Picture) -> NDArray[np.uint16]:
    """``[height, width]``, luma 0..255."""
    red, green, blue = (picture[..., i].astype(np.uint16) for i in range(3))
    return np.asarray((77 * red + 150 * green + 29 * blue) >> 8, np.uint16)
