"""Draws pictures with the character "upper half block": two pixels per character cell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style

from gpu_saliency.draw.canvas import Picture
from gpu_saliency.source.clip import Clip

GAP = 2
"""Columns between two pictures."""


def half_blocks(*pictures: Picture) -> Segments:
    """Draw pictures ``[2 n, w, 3]`` side by side in n lines; a cell's foreground is the upper pixel, its background the lower."""
    segments: list[Segment] = []
    for line in range(pictures[0].shape[0] // 2):
        for picture in pictures:
            pairs = np.concatenate([picture[2 * line], picture[2 * line + 1]], axis=1)
            # Neighbouring cells of the same colours share a segment.
            edges = [0, *(np.flatnonzero(np.any(pairs[1:] != pairs[:-1], axis=1)) + 1).tolist(), len(pairs)]
            for start, end in itertools.pairwise(edges):
                r, g, b, r2, g2, b2 = (int(value) for value in pairs[start])
                segments.append(Segment("▀" * (end - start), Style.from_color(Color.from_rgb(r, g, b), Color.from_rgb(r2, g2, b2))))
            segments.append(Segment(" " * GAP))
        segments[-1] = Segment.line()
    return Segments(segments)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How pictures of one size are placed."""

    panel: tuple[int, int]
    """Width and height of each picture in pixels."""
    stacked: bool
    """One above the other, each below its title; else side by side."""

    def lines(self, pictures: int) -> int:
        """Lines of text that so many pictures take with their titles."""
        return (self.panel[1] // 2 + 1) * (pictures if self.stacked else 1)


def arrange(clip: Clip, pictures: int, columns: int, lines: int) -> Arrangement:
    """Place so many pictures of ``clip`` into ``columns`` and ``lines`` of text, titles included, as large as they can be."""
    beside = picture_size(clip, (columns - GAP * (pictures - 1)) // pictures, lines - 1)
    above = picture_size(clip, columns, (lines - pictures) // pictures)
    return Arrangement(above, True) if above[0] * above[1] > beside[0] * beside[1] else Arrangement(beside, False)


def picture_size(clip: Clip, columns: int, lines: int) -> tuple[int, int]:
    """Width and height in pixels of a picture of ``clip`` that fits into ``columns`` and ``lines`` of text.

    A pixel is one column wide and half a line high, which is assumed to be a square.
    """
    lines = max(1, lines)
    wide, high = float(clip.width * clip.sample_aspect_ratio), float(clip.height)
    if clip.rotation % 180:
        wide, high = high, wide
    space = (columns, 2 * lines)
    scale = min(space[0] / wide, space[1] / high)
    return max(1, min(space[0], round(wide * scale))), max(2, min(space[1], round(high * scale / 2) * 2))
