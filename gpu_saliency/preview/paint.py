"""A frame with its saliency and its plan laid over it, a legend below: what overlay files and contact sheets are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.blocks import BLOCK_SIZE
from gpu_saliency.canvas import BAR, LINE, Picture, draw_scale, panel_cells, panel_size, write_text
from gpu_saliency.clip import Clip
from gpu_saliency.errors import UsageError
from gpu_saliency.palette import offset_colour, saliency_colour
from gpu_saliency.plan import RoiPlan
from gpu_saliency.preview.moment import Moment

STYLES: dict[str, tuple[str, ...]] = {
    "heat": ("heat",),
    "plan": ("plan",),
    "side-by-side": ("source", "heat", "plan"),
}
"""The panels of each style, left to right."""
DEFAULT_STYLE = "side-by-side"
_TITLES = {"source": "Source", "heat": "Saliency", "plan": "Plan: QP offset"}
_MARGIN = 16
_HEAT_OPACITY = _PLAN_OPACITY = 0.6
_SCALES = BAR + 6 + LINE
_LEAST_COLUMN, _LEAST_WIDTH, _ONE_LINE = 320, 480, 1240
"""Pixels: room for the scale of a panel, for the longest line that tells of the frame, and for all of them in one line."""


def check_style(style: str) -> None:
    """Raise `UsageError` unless ``style`` is one of `STYLES`."""
    if style not in STYLES:
        raise UsageError(f"--style {style}: unknown", cure="one of " + ", ".join(STYLES))


def scale_end(plan: RoiPlan) -> float:
    """End of the scale of QP offsets for all of ``plan``: the same colour means the same number in every frame."""
    largest = max(float(np.abs(plan.effective(i)).max()) for i in range(len(plan.segment_start)))
    return max(1.0, float(np.ceil(largest)))


class Painter:
    """Paints frames of one clip in one style. All its pictures have the same, even size."""

    def __init__(self, clip: Clip, plan: RoiPlan, style: str, side: int) -> None:
        """``side`` is the longer side of each panel in pixels. Raises `UsageError` for an unknown style."""
        check_style(style)
        width, height = panel_size(clip, side)
        self.panel = (max(2, width // 2 * 2), max(2, height // 2 * 2))
        """Width and height in pixels; `paint` takes pictures of this size."""
        self._panels = STYLES[style]
        self._top = scale_end(plan)
        self._cells = panel_cells(clip, *self.panel)
        self._smooth = _Smooth(clip, *self.panel)
        self._heat_table = _layer(saliency_colour(np.arange(256) / 255), _HEAT_OPACITY)
        self._layers: dict[str, tuple[int, NDArray[np.uint16]]] = {}
        self._ground = self._legend()
        self.size = (self._ground.shape[1], self._ground.shape[0])
        """Width and height of what is painted, in pixels."""

    def paint(self, moment: Moment, picture: Picture) -> Picture:
        """``picture``, upright and of the size of a panel, as the style shows it."""
        canvas = self._ground.copy()
        grey = None
        for left, panel in zip(self._lefts(), self._panels, strict=True):
            target = canvas[LINE + 4 : LINE + 4 + self.panel[1], left : left + self.panel[0]]
            if panel == "source":
                target[:] = picture
                continue
            grey = _grey(picture) if grey is None else grey
            opacity = _HEAT_OPACITY if panel == "heat" else _PLAN_OPACITY
            mixed = grey * np.uint16(256 - round(256 * opacity))
            np.right_shift(mixed[..., None] + self._layer_of(panel, moment), 8, out=target, casting="unsafe")
        words = status_words(moment)
        for number, line in enumerate(["  ".join(words)] if self._status_lines == 1 else words):
            write_text(canvas, line, 4, self.size[1] - (self._status_lines - number) * LINE)
        return canvas

    def _layer_of(self, panel: str, moment: Moment) -> NDArray[np.uint16]:
        """The colours of ``panel``, weighed by their opacity; kept until the next map or segment."""
        key = moment.sample if panel == "heat" else moment.segment
        kept = self._layers.get(panel)
        if kept is not None and kept[0] == key:
            return kept[1]
        if panel == "heat":
            layer = self._heat_table[self._smooth(moment.saliency)]
        else:
            layer = _layer(offset_colour(moment.effective, self._top), _PLAN_OPACITY)[self._cells]
        self._layers[panel] = (key, layer)
        return layer

    def _lefts(self) -> list[int]:
        """The left edge of each panel; a panel narrower than its scale leaves room to its right."""
        return [i * (self._column + _MARGIN) for i in range(len(self._panels))]

    def _legend(self) -> Picture:
        """All that is the same in each picture: titles and scales."""
        self._column = max(self.panel[0], _LEAST_COLUMN)
        width = max(len(self._panels) * (self._column + _MARGIN) - _MARGIN, _LEAST_WIDTH)
        self._status_lines = 1 if width >= _ONE_LINE else 3
        below = LINE + 4 + self.panel[1] + 8
        height = below + _SCALES + self._status_lines * LINE
        canvas = np.full((height + height % 2, width + width % 2, 3), 255, np.uint8)
        ramp = np.linspace(0, 1, self._column)
        for left, panel in zip(self._lefts(), self._panels, strict=True):
            write_text(canvas, _TITLES[panel], left + 4, 6)
            if panel == "heat":
                draw_scale(canvas, saliency_colour(ramp), left, below, ("0", "saliency", "1"))
            elif panel == "plan":
                top = self._top
                words = (f"{-top:g} better", "0 QP", f"+{top:g} worse")
                draw_scale(canvas, offset_colour((2 * ramp - 1) * top, top), left, below, words)
        return canvas


def status_words(moment: Moment) -> list[str]:
    """What is known of a frame, in three short lines."""
    low, high = float(moment.effective.min()), float(moment.effective.max())
    return [
        f"frame {moment.frame}  {moment.clock()}",
        f"map {moment.sample + 1} of {moment.samples}  segment {moment.segment + 1} of {moment.segments}",
        f"mean saliency {moment.mean_saliency:.2f}  QP {low:+.1f} to {high:+.1f}",
    ]


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


def _layer(colours: NDArray[np.float64], opacity: float) -> NDArray[np.uint16]:
    return np.rint(colours * round(256 * opacity)).astype(np.uint16)


def _grey(picture: Picture) -> NDArray[np.uint16]:
    """``[height, width]``, luma 0..255."""
    red, green, blue = (picture[..., i].astype(np.uint16) for i in range(3))
    return np.asarray((77 * red + 150 * green + 29 * blue) >> 8, np.uint16)
