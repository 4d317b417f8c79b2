"""Reference and encode of one comparison: checked to fit together, with the pixel format that both are compared in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import av

from gpu_saliency.encode.arguments import range_arguments, range_filter
from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.colour import is_full_range
from gpu_saliency.source.rate import is_bare
from gpu_saliency.source.time_codes import exact_seconds

_RATE_TOLERANCE = Fraction(1, 100)
"""Average rates of variable frame rates differ a little between containers; frames are paired by number anyway."""
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Pair:
    """Two clips of the same frames. Produced by `make_pair`."""

    reference: Clip
    distorted: Clip
    pix_fmt: str
    """The format that PSNR, SSIM and XPSNR compare: the chroma sampling of ``distorted``, the greater depth of both."""
    full_range: bool
    arguments: tuple[str, ...] = ()
    """ffmpeg's arguments before the reference, such as a seek."""
    cut: str = ""
    """Filter that passes only the frames of the reference to compare; empty passes all."""
    skip: int = 0
    """Frames of ``distorted`` to leave out at its start."""

    @property
    def depth(self) -> int:
        """Bits of a sample of ``pix_fmt``."""
        return int(av.VideoFormat(self.pix_fmt).components[0].bits)

    @property
    def peak(self) -> int:
        """The largest code value of ``pix_fmt``."""
        return (1 << self.depth) - 1


def make_pair(reference: Clip, distorted: Clip) -> Pair:
    """Check that both clips can be compared frame by frame. Raises `SourceError`."""
    a, b = reference, distorted
    if (a.width, a.height) != (b.width, b.height):
        cure = "scale one of them to the size of the other first, and state how: the filter decides the score"
        raise SourceError(f"{b.path}: is {b.width}x{b.height}, {a.path} is {a.width}x{a.height}", cure=cure)
    if a.orientation != b.orientation:
        cure = "compare files whose pictures are stored in the same orientation"
        raise SourceError(f"{b.path}: is turned by {b.rotation} degrees, {a.path} by {a.rotation}", cure=cure)
    if abs(a.frame_rate / b.frame_rate - 1) > _RATE_TOLERANCE:
        cure = "frames are compared by number: convert one of them to the frame rate of the other first"
        raise SourceError(f"{b.path}: has {float(b.frame_rate):g} frames a second, {a.path} has {float(a.frame_rate):g}", cure=cure)
    full = is_full_range(a.color.color_range, a.pix_fmt)
    if full != is_full_range(b.color.color_range, b.pix_fmt):
        names = {True: "full", False: "limited"}
        cure = "convert one of them to the range of the other first"
        raise SourceError(f"{b.path}: has {names[not full]} range, {a.path} has {names[full]} range", cure=cure)
    arguments, cut = tuple(range_arguments(a)), range_filter(a) or _first_part(a)
    return Pair(a, b, _common_format(a.pix_fmt, b.pix_fmt), full, arguments, cut)


def _first_part(clip: Clip) -> str:
    """The filter that passes the frames of a ``clip`` with a duration and no start; empty without a duration."""
    if not clip.duration:
        return ""
    if clip.is_raw or is_bare(clip.container) or clip.container == "avi":
        return f"trim=end_frame={math.ceil(exact_seconds(clip.duration) * clip.frame_rate)}"
    return f"trim=duration={clip.duration:.6f}"


def _common_format(reference: str, distorted: str) -> str:
    bits = max(component.bits for name in (reference, distorted) for component in av.VideoFormat(name).components[:1])
    depth = next((depth for depth in (8, 10, _DEEPEST) if bits <= depth), _DEEPEST)
    return f"yuv{_sampling(distorted)}p" + ("" if depth == 8 else f"{depth}le")


def _sampling(pix_fmt: str) -> str:
    """``420``, ``422`` or ``444``: the chroma sampling that loses least of ``pix_fmt``; grey counts as 4:2:0."""
    found = av.VideoFormat(pix_fmt)
    if len(found.components) < 3:
        return "420"
    if found.is_rgb or found.chroma_width(8) == 8:
        return "444"
    return "420" if found.chroma_height(8) == 4 else "422"
