"""Parses what a user asks of the output's picture, in the syntax of ffmpeg: ``W:H:X:Y`` and ``WxH`` or ``W:-2``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpu_saliency.errors import UsageError
from gpu_saliency.source.clip import MAX_SIDE

LEAST_SIDE = 16
"""Least width and height of an output in pixels: one block of the plan."""
_SIZE = re.compile(r"(-2|[0-9]{1,6})[x:](-2|[0-9]{1,6})")
_CROP = re.compile(r":".join([r"([0-9]{1,6})"] * 4))


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture in pixels."""

    width: int
    height: int
    x: int
    y: int

    @property
    def text(self) -> str:
        return f"{self.width}:{self.height}:{self.x}:{self.y}"


@dataclass(frozen=True, slots=True)
class Size:
    """A size in pixels; ``None`` for the side that follows from the other one and the picture's shape."""

    width: int | None
    height: int | None

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height for a picture of ``width`` x ``height``; a side that follows is the nearest even number."""
        if self.width is None:
            assert self.height is not None
            return _nearest_even(self.height * width, height), self.height
        return self.width, self.height if self.height is not None else _nearest_even(self.width * height, width)


def parse_crop(text: str) -> Box:
    """Parse ``W:H:X:Y``, as ffmpeg's filters ``crop`` and ``cropdetect`` write it. Raises `UsageError`."""
    found = _CROP.fullmatch(text.removeprefix("crop="))
    if found is None:
        raise UsageError(
            "is not W:H:X:Y", setting="crop", value=text, cure="give width, height, left and top in pixels: 1280:536:0:92"
        )
    box = Box(*map(int, found.groups()))
    if box.width < LEAST_SIDE or box.height < LEAST_SIDE:
        raise UsageError("is too small", setting="crop", value=text, cure=f"give {LEAST_SIDE} pixels or more for each side")
    return box


def parse_scale(text: str) -> Size:
    """Parse ``WxH`` or ``W:H``, in which one side may be ``-2``. Raises `UsageError`."""
    found = _SIZE.fullmatch(text)
    sides = [] if found is None else [None if side == "-2" else int(side) for side in found.groups()]
    if not sides or sides == [None, None]:
        cure = "give 1280x720, or -2 for the side that follows from the other: 1280:-2"
        raise UsageError("is not a size", setting="scale", value=text, cure=cure)
    if any(side is not None and not LEAST_SIDE <= side <= MAX_SIDE for side in sides):
        raise UsageError("out of range", setting="scale", value=text, cure=f"{LEAST_SIDE} to {MAX_SIDE} pixels for each side")
    return Size(*sides)


def _nearest_even(number: int, divisor: int) -> int:
    """The even number nearest to ``number / divisor``, as ffmpeg's filter ``scale`` takes for ``-2``."""
    return 2 * ((number + divisor) // (2 * divisor))
