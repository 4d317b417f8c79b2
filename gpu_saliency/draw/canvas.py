"""Draws text and colour scales on pictures, which are arrays, and encodes pictures as PNG."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.draw.glyphs import ADVANCE, HEIGHT, text_dots

Picture = NDArray[np.uint8]
"""``[height, width, 3]``, R'G'B'."""
LETTER = 2
"""Pixels per dot of the font."""
LINE = (HEIGHT + 4) * LETTER
"""Pixels from one line of text to the next."""
BAR = 16
"""Height of a colour scale in pixels."""
INK = (40, 40, 40)


def write_text(canvas: Picture, text: str, left: int, top: int, ink: tuple[int, int, int] = INK) -> None:
    """Write one line with its top left corner at (``left``, ``top``); text beyond the canvas is cut off."""
    dots = text_dots(text).repeat(LETTER, axis=0).repeat(LETTER, axis=1)
    area = canvas[top : top + dots.shape[0], left : left + dots.shape[1]]
    area[dots[: area.shape[0], : area.shape[1]]] = ink


def text_width(text: str) -> int:
    """Width of ``text`` in pixels."""
    return len(text) * ADVANCE * LETTER


def draw_scale(canvas: Picture, colours: NDArray[np.float64], left: int, top: int, words: tuple[str, str, str]) -> None:
    """Draw a bar of ``colours`` ``[width, 3]`` with ``words`` below its left end, middle and right end."""
    width = len(colours)
    canvas[top : top + BAR, left : left + width] = colours.astype(np.uint8)
    canvas[[top, top + BAR - 1], left : left + width] = 160
    below = top + BAR + 6
    for text, at in zip(words, (0.0, 0.5, 1.0), strict=True):
        write_text(canvas, text, left + round(at * (width - text_width(text))), below)


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """Encode ``picture``, a `Picture` or grey ``[height, width]``, as PNG, with libavcodec."""
    pix_fmt = "rgb24" if picture.ndim == 3 else "gray"
    encoder = av.VideoCodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.shape[1], picture.shape[0], pix_fmt
    encoder.framerate = Fraction(1)
    frame = av.VideoFrame.from_ndarray(picture, format=pix_fmt)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
