"""`Painter`: draws saliency and plan over a frame, for overlay videos and contact sheets; a legend is drawn once."""

from __future__ import annotations

import numpy as np

from gpu_saliency.draw.canvas import DARK, LINE, SCALE, Picture, blank, draw_scale, write_text
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.draw.panel import panel_size
from gpu_saliency.draw.text import shortened, text_width
from gpu_saliency.errors import unknown_choice
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.layers import Layers, scale_end
from gpu_saliency.preview.moment import Moment
from gpu_saliency.source.clip import Clip
from gpu_saliency.texts import printable

STYLES: dict[str, tuple[str, ...]] = {
    "heat": ("heat",),
    "plan": ("plan",),
    "side-by-side": ("source", "heat", "plan"),
}
"""The panels of each style, left to right."""
DEFAULT_STYLE = "side-by-side"
_TITLES = {"source": "Source", "heat": "Saliency", "plan": "Plan: QP offset"}
MARGIN = 16
_GAP = 8
"""Between panels, and between the lines and the panels, in pixels."""
_LEAST_WIDTH = 480
_SCALE_WIDTH = 320


def check_style(style: str) -> None:
    """Raise `UsageError` unless ``style`` is one of `STYLES`."""
    if style not in STYLES:
        raise unknown_choice("style", style, STYLES)


class Painter:
    """Draws the overlay pictures of one clip in one style. All pictures have the same size, with even sides."""

    def __init__(self, clip: Clip, plan: RoiPlan, style: str, side: int, *, alone: bool = True) -> None:
        """``side`` is the longer side of each panel in pixels. Raises `UsageError` for an unknown style.

        A picture that stands ``alone`` has margins, name, titles and legend; others are parts of a sheet that has them.
        """
        check_style(style)
        width, height = panel_size(clip, side)
        self.panel = (max(2, width // 2 * 2), max(2, height // 2 * 2))
        """Width and height in pixels of the pictures given to `paint`."""
        self._panels = STYLES[style]
        self._top = scale_end(plan)
        self._layers = Layers(clip, self.panel, self._top)
        self._alone, self._name = alone, printable(clip.path.name)
        self._background = self._draw_background()
        self.origin = (self._first_row, self._edge)
        """Top and left of the first panel, in pixels."""
        self.size = (self._background.shape[1], self._background.shape[0])
        """Width and height in pixels of the pictures that `paint` returns."""

    def paint(self, moment: Moment, picture: Picture) -> Picture:
        """Draw one overlay picture; ``picture`` is the frame, upright, of the size `panel`."""
        canvas = self._background.copy()
        for left, panel in zip(self._lefts(), self._panels, strict=True):
            target = canvas[self._first_row : self._first_row + self.panel[1], left : left + self.panel[0]]
            if panel == "source":
                target[:] = picture
            else:
                self._layers.overlay(panel, moment, picture, target)
        below = self._first_row + self.panel[1] + _GAP // 2
        for number, line in enumerate(self._status(moment)):
            write_text(canvas, line, self._edge, below + number * LINE, DARK.text)
        return canvas

    def _status(self, moment: Moment) -> list[str]:
        """The lines about a frame: one where it fits, and in a sheet as much of it as fits."""
        words, room = moment.status(), self._background.shape[1] - 2 * self._edge
        joined = "   ".join(words)
        if self._status_lines == 1:
            return [shortened(joined, room)]
        return [shortened(word, room) for word in words]

    def _lefts(self) -> list[int]:
        """The left edge of each panel in pixels."""
        return [self._edge + i * (self.panel[0] + _GAP) for i in range(len(self._panels))]

    def _draw_background(self) -> Picture:
        """Draw what all pictures share: the ground, the titles and, of a picture that stands alone, its name and legend."""
        self._edge = MARGIN if self._alone else 0
        count = len(self._panels)
        width = count * (self.panel[0] + _GAP) - _GAP + 2 * self._edge
        width = max(width, _LEAST_WIDTH) if self._alone else width
        self._status_lines = 1 if not self._alone or width >= _LEAST_WIDTH + 300 else 3
        header = LINE + _GAP if self._alone else 0
        self._first_row = self._edge + header + (LINE if self._alone else 0)
        height = self._first_row + self.panel[1] + _GAP // 2 + self._status_lines * LINE
        scales = self.scales() if self._alone else None
        if scales is not None:
            height += _GAP + scales.shape[0] + self._edge
        canvas = blank(width + width % 2, height + height % 2, DARK)
        if self._alone:
            write_text(canvas, shortened(self._name, width - 2 * self._edge), self._edge, self._edge, DARK.text)
            self.write_titles(canvas, 0, self._first_row - LINE)
        if scales is not None:
            scales = scales[:, : width - 2 * self._edge]
            top = canvas.shape[0] - self._edge - scales.shape[0]
            canvas[top : top + scales.shape[0], self._edge : self._edge + scales.shape[1]] = scales
        return canvas

    def write_titles(self, canvas: Picture, left: int, top: int) -> None:
        """Write the titles of the panels of a picture at ``left`` in one line."""
        for at, panel in zip(self._lefts(), self._panels, strict=True):
            write_text(canvas, shortened(_TITLES[panel], self.panel[0]), left + at, top, DARK.text)

    def scales(self) -> Picture:
        """The colour scales of the panels, side by side: the legend of a picture or of a sheet."""
        top = self._top
        words = {"heat": ("0", "saliency", "1"), "plan": (f"{-top:g} better", "0 QP", f"+{top:g} worse")}
        shown = [panel for panel in self._panels if panel in words]
        width = max(_SCALE_WIDTH, *(sum(text_width(word) + 16 for word in words[panel]) for panel in shown))
        if len(shown) > 1 and not self._fits(len(shown) * (width + 2 * MARGIN)):
            width = (self._room() - 2 * MARGIN) // 2
        ramp = np.linspace(0, 1, width)
        colours = {"heat": saliency_colour(ramp), "plan": offset_colour((2 * ramp - 1) * top, top)}
        canvas = blank(len(shown) * (width + 2 * MARGIN) - 2 * MARGIN, SCALE, DARK)
        for number, panel in enumerate(shown):
            draw_scale(canvas, colours[panel], number * (width + 2 * MARGIN), 0, words[panel], DARK)
        return canvas

    def _room(self) -> int:
        return max(_LEAST_WIDTH - 2 * MARGIN, len(self._panels) * (self.panel[0] + _GAP) - _GAP)

    def _fits(self, width: int) -> bool:
        return not self._alone or width <= self._room()
