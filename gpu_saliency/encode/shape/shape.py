"""`Shape`: the part of the picture, the size and the rate of an output, in coded pixels of its source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import av

from gpu_saliency.encode.shape.asked import LEAST_SIDE, Box, Size
from gpu_saliency.errors import UsageError
from gpu_saliency.source.clip import MAX_PIXEL_ASPECT, MAX_SIDE, Clip
from gpu_saliency.source.colour import is_full_range
from gpu_saliency.source.orientation import Orientation

FLAGS = "bicubic"
"""The scaling filter, ffmpeg's default."""
_ROUNDED = 2
"""Pixels by which a side may differ from the exact one, and the shape of the picture still counts as kept."""
_FINEST = 10000
"""Largest part of a pixel's aspect ratio; H.264 and HEVC store 16 bits."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an output has other than its source. In coded pixels, before the rotation that a player applies."""

    crop: Box | None = None
    size: tuple[int, int] | None = None
    """Width and height after the crop; ``None`` leaves them."""
    rate: Fraction | None = None
    """Frames per second; ``None`` keeps every frame with its time."""

    @property
    def is_given(self) -> bool:
        return self != AS_SOURCE

    @property
    def is_picture(self) -> bool:
        """Whether part or size of the picture change."""
        return self.crop is not None or self.size is not None

    def box(self, clip: Clip) -> Box:
        """The part of the pictures of ``clip`` that the output shows."""
        return self.crop or Box(clip.width, clip.height, 0, 0)

    def applied(self, clip: Clip) -> Clip:
        """``clip`` as the encoder gets it. With another rate the number of frames is not known before the analysis."""
        if not self.is_given:
            return clip
        box = self.box(clip)
        width, height = self.size or (box.width, box.height)
        aspect = clip.sample_aspect_ratio
        if not _keeps_shape(box, width, height):
            aspect = (aspect * box.width * height / (box.height * width)).limit_denominator(_FINEST)
        clip = replace(clip, width=width, height=height, sample_aspect_ratio=aspect)
        return clip if self.rate is None else replace(clip, frame_rate=self.rate, frame_count=None)

    def record(self, clip: Clip) -> dict[str, str | None]:
        """Crop, size and rate as a user would ask for them, of the displayed picture of ``clip``."""
        size, turned = self.size, clip.rotation % 180 != 0
        shown = None if self.crop is None else shown_box(self.crop, clip)
        return {
            "crop": None if shown is None else shown.text,
            "scale": None if size is None else "x".join(map(str, size[::-1] if turned else size)),
            "fps": None if self.rate is None else str(self.rate),
        }

    def crop_filter(self) -> str:
        """The filter that cuts the part out; empty without one."""
        box = self.crop
        return "" if box is None else f"crop={box.width}:{box.height}:{box.x}:{box.y}:exact=1"

    def scale_options(self) -> list[str]:
        """The options of the filter ``scale`` for the size; empty without one."""
        return [] if self.size is None else [f"w={self.size[0]}", f"h={self.size[1]}", f"flags={FLAGS}"]

    def aspect_filter(self, clip: Clip) -> str:
        """The filter that states the shape of the pixels of ``clip`` after the size changed; empty without a size."""
        if self.size is None:
            return ""
        aspect = self.applied(clip).sample_aspect_ratio
        return f"setsar={aspect.numerator}/{aspect.denominator}"

    def picture_filters(self, clip: Clip) -> str:
        """Crop and size alone, in the pixel format of ``clip``; empty without both."""
        scale = [*self.scale_options(), *range_options(clip)] if self.size is not None else []
        return ",".join(filter(None, (self.crop_filter(), "scale=" + ":".join(scale) if scale else "")))


AS_SOURCE = Shape()
"""The shape of the source itself."""


def range_options(clip: Clip) -> list[str]:
    """The options of the filter ``scale`` that keep the full range of ``clip``; FFmpeg 5 would write limited range otherwise."""
    form = av.VideoFormat(clip.pix_fmt)
    is_full = not form.is_rgb and len(form.components) > 2 and is_full_range(clip.color.color_range, clip.pix_fmt)
    return ["in_range=pc", "out_range=pc"] if is_full else []


def make_shape(clip: Clip, crop: Box | None, size: Size | None, rate: Fraction | None) -> Shape:
    """The shape of an output of ``clip`` that a user asks for, who sees the picture as players show it: turned and mirrored.

    Raises `UsageError` for a part outside of the picture, or one that cuts chroma samples of the source in two.
    """
    turned = clip.rotation % 180 != 0
    shown = (clip.height, clip.width) if turned else (clip.width, clip.height)
    coded = None
    if crop is not None:
        text = crop.text
        if crop.x + crop.width > shown[0] or crop.y + crop.height > shown[1]:
            cure = f"stay within {shown[0]}x{shown[1]}"
            raise UsageError("reaches beyond the picture", setting="crop", value=text, cure=cure)
        coded = coded_box(crop, clip)
        _check_chroma(coded, clip, text)
        shown = (crop.width, crop.height)
    side = None if size is None else size.of(*shown)
    if side is not None and not (min(side) >= LEAST_SIDE and max(side) <= MAX_SIDE):
        cure = f"{LEAST_SIDE} to {MAX_SIDE} pixels for each side"
        raise UsageError("out of range for this picture", setting="scale", value=f"{side[0]}x{side[1]}", cure=cure)
    shape = Shape(coded, side if side is None or not turned else side[::-1], rate)
    aspect = shape.applied(clip).sample_aspect_ratio
    if not 1 / Fraction(MAX_PIXEL_ASPECT) <= aspect <= MAX_PIXEL_ASPECT:
        raise UsageError(
            "gives pixels that no display can show", setting="scale", value=None if side is None else f"{side[0]}x{side[1]}"
        )
    return shape


def coded_box(box: Box, clip: Clip) -> Box:
    """The part ``box`` of the displayed picture of ``clip`` in coded coordinates: the inverse of `Orientation.upright`."""
    orientation: Orientation = clip.orientation
    size = (clip.width, clip.height) if orientation.turns % 2 == 0 else (clip.height, clip.width)
    mirrored = replace(box, x=size[0] - box.x - box.width) if orientation.mirrored else box
    for _ in range(orientation.turns):
        mirrored, size = _turned_back(mirrored, size), size[::-1]
    return mirrored


def shown_box(box: Box, clip: Clip) -> Box:
    """The part ``box`` of the coded picture of ``clip`` in displayed coordinates: the inverse of `coded_box`."""
    orientation, size = clip.orientation, (clip.width, clip.height)
    for _ in range(-orientation.turns % 4):
        box, size = _turned_back(box, size), size[::-1]
    return replace(box, x=size[0] - box.x - box.width) if orientation.mirrored else box


def _turned_back(box: Box, size: tuple[int, int]) -> Box:
    """``box`` of a picture of ``size`` after a quarter turn clockwise."""
    return Box(box.height, box.width, size[1] - box.y - box.height, box.x)


def _check_chroma(box: Box, clip: Clip, text: str) -> None:
    form = av.VideoFormat(clip.pix_fmt)
    across, down = (16 // side for side in (form.chroma_width(16), form.chroma_height(16)))
    ends = ((box.x, across, 0), (box.x + box.width, across, clip.width), (box.y, down, 0), (box.y + box.height, down, clip.height))
    if any(at % step and at != end for at, step, end in ends):
        cure = f"give multiples of {max(across, down)}"
        raise UsageError(f"cuts chroma samples of {clip.pix_fmt} in two", setting="crop", value=text, cure=cure)


def _keeps_shape(box: Box, width: int, height: int) -> bool:
    return abs(width - height * box.width / box.height) < _ROUNDED or abs(height - width * box.height / box.width) < _ROUNDED
