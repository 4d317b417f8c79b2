"""Text as pictures, in the font that Pillow brings along (Aileron, CC0), so that no font file is needed."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIZE, LARGE = 17, 24
"""Height of letters in pixels: of text, and of headlines."""
_CACHED = 512


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow is built without FreeType"
    return font


def text_width(text: str, size: int = SIZE) -> int:
    """Width of ``text`` in pixels."""
    return math.ceil(float(_font(size).getlength(_plain(text))))


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")  # the font lacks it


@functools.lru_cache(_CACHED)
def text_mask(text: str, size: int = SIZE) -> NDArray[np.float32]:
    """Coverage ``[height, width]``, 0..1, of one line of text."""
    picture = Image.new("L", (max(1, text_width(text, size)), round(1.4 * size)))
    ImageDraw.Draw(picture).text((0, 0), _plain(text), fill=255, font=_font(size))
    mask = np.asarray(picture).astype(np.float32) / np.float32(255)
    mask.flags.writeable = False
    return mask


def wrapped(text: str, width: int, size: int = SIZE) -> list[str]:
    """``text`` in lines of up to ``width`` pixels, broken at spaces; a longer word gets a line of its own."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def shortened(text: str, width: int, size: int = SIZE) -> str:
    """``text``, or as many of its first characters as fit in ``width`` pixels with an ellipsis."""
    if text_width(text, size) <= width:
        return text
    fitting = next((end for end in range(len(text), 0, -1) if text_width(text[:end] + "...", size) <= width), 0)
    return text[:fitting] + "..."
