"""`Painter`: draws saliency and plan over a frame, with a legend below, for overlay videos and contact sheets."""

from __future__ import annotations

import numpy as np

from gpu_saliency.draw.canvas import BAR, LINE, Picture, draw_scale, write_text
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.draw.panel import panel_size
from gpu_saliency.errors import unknown_choice
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.layers import Layers, scale_end
from gpu_saliency.preview.moment import Moment
from gpu_saliency.source.clip import Clip

STYLES: dict[str, tuple[str, ...]] = {
    "heat": ("heat",),
    "plan": ("plan",),
    "side-by-side": ("source", "heat", "plan"),
}
"""The panels of each style, left to right."""
DEFAULT_STYLE = "side-by-side"
_TITLES = {"source": "Source", "heat": "Saliency", "plan": "Plan: QP offset"}
_MARGIN = 16
_SCALES = BAR + 6 + LINE
_LEAST_COLUMN, _LEAST_WIDTH, _ONE_LINE = 320, 480, 1240
"""Least widths in pixels: of a panel's colour scale, of the longest status line, and of all status text on one line."""


def check_style(style: str) -> None:
    """Raise `UsageError` unless ``style`` is one of `STYLES`."""
    if style not in STYLES:
        raise unknown_choice("style", style, STYLES)


class Painter:
    """Draws the overlay pictures of one clip in one style. All pictures have the same size, with even sides."""

    def __init__(self, clip: Clip, plan: RoiPlan, style: str, side: int) -> None:
        """``side`` is the longer side of each panel in pixels. Raises `UsageError` for an unknown style."""
        check_style(style)
        width, height = panel_size(clip, side)
        self.panel = (max(2, width // 2 * 2), max(2, height // 2 * 2))
        """Width and height in pixels of the pictures given to `paint`."""
        self._panels = STYLES[style]
        self._top = scale_end(plan)
        self._layers = Layers(clip, self.panel, self._top)
        self._background = self._legend()
        self.size = (self._background.shape[1], self._background.shape[0])
        """Width and height in pixels of the pictures that `paint` returns."""

    def paint(self, moment: Moment, picture: Picture) -> Picture:
        """Draw one overlay picture; ``picture`` is the frame, upright, of the size `panel`."""
        canvas = self._background.copy()
        for left, panel in zip(self._lefts(), self._panels, strict=True):
            target = canvas[LINE + 4 : LINE + 4 + self.panel[1], left : left + self.panel[0]]
            if panel == "source":
                target[:] = picture
            else:
                self._layers.overlay(panel, moment, picture, target)
        status = moment.status()
        for number, line in enumerate(["  ".join(status)] if self._status_lines == 1 else status):
            write_text(canvas, line, 4, self.size[1] - (self._status_lines - number) * LINE)
        return canvas

    def _lefts(self) -> list[int]:
        """The left edge of each panel in pixels; a panel narrower than its scale has space to its right."""
        return [i * (self._column + _MARGIN) for i in range(len(self._panels))]

    def _legend(self) -> Picture:
        """Draw the background of all pictures: titles and colour scales."""
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
