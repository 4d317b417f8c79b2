"""Draws text and colour scales on pictures, which are arrays, and encodes pictures as PNG."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.draw.text import SIZE, text_mask, text_width

Picture = NDArray[np.uint8]
"""``[height, width, 3]``, R'G'B'."""
LINE = 24
"""Pixels from one line of text to the next."""
BAR = 16
"""Height of a colour scale in pixels."""
SCALE = BAR + 6 + LINE
"""Height of a colour scale with its words."""


@dataclass(frozen=True, slots=True)
class Inks:
    """Colours of a drawing: its ground, its text, and the frame of a colour scale."""

    ground: tuple[int, int, int]
    text: tuple[int, int, int]
    frame: tuple[int, int, int]


LIGHT = Inks((255, 255, 255), (40, 40, 40), (160, 160, 160))
DARK = Inks((24, 27, 31), (232, 236, 240), (110, 118, 126))


def blank(width: int, height: int, inks: Inks = LIGHT) -> Picture:
    """An empty picture."""
    return np.full((height, width, 3), inks.ground, np.uint8)


def write_text(canvas: Picture, text: str, left: int, top: int, ink: tuple[int, int, int] = LIGHT.text, size: int = SIZE) -> None:
    """Write one line with its top left corner at (``left``, ``top``); text beyond the canvas is cut off."""
    mask = text_mask(text, size)
    area = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    cover = mask[: area.shape[0], : area.shape[1], None]
    area[:] = np.rint(area * (1 - cover) + np.array(ink, np.float32) * cover)


def draw_scale(
    canvas: Picture, colours: NDArray[np.float64], left: int, top: int, words: tuple[str, str, str], inks: Inks = LIGHT
) -> None:
    """Draw a bar of ``colours`` ``[width, 3]`` with ``words`` below its left end, middle and right end."""
    width = len(colours)
    canvas[top : top + BAR, left : left + width] = colours.astype(np.uint8)
    canvas[[top, top + BAR - 1], left : left + width] = inks.frame
    below = top + BAR + 4
    for text, at in zip(words, (0.0, 0.5, 1.0), strict=True):
        write_text(canvas, text, left + round(at * (width - text_width(text))), below, inks.text)


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """Encode ``picture``, a `Picture` or grey ``[height, width]``, as PNG, with libavcodec."""
    pix_fmt = "rgb24" if picture.ndim == 3 else "gray"
    encoder = av.VideoCodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.shape[1], picture.shape[0], pix_fmt
    encoder.framerate = Fraction(1)
    frame = av.VideoFrame.from_ndarray(picture, format=pix_fmt)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
