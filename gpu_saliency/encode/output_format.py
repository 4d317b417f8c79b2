"""Chooses the pixel format that an encoder gets: the one that was asked for, the source's own, or the closest."""

from __future__ import annotations

import av
from av.codec.codec import find_best_pix_fmt_of_list

from gpu_saliency.encode.encoders.spec import EncoderSpec
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.source.clip import Clip

_CROPS_CHROMA = frozenset({"h264", "hevc", "vvc", None})
"""Codecs that crop in whole chroma samples; ``None`` is a codec that is not known."""
_FULL_RANGE = "yuvj"
"""Begin of the old names of full range; the colour tags state the range too."""


def check_pix_fmt(name: str) -> None:
    """Raise `UsageError` unless ``name`` is a pixel format that an output can have."""
    try:
        form = av.VideoFormat(name)
    except ValueError:
        raise UsageError("unknown", setting="output_pix_fmt", value=name, cure="such as yuv420p or yuv420p10le") from None
    if form.has_palette or form.is_bit_stream or name.startswith(_FULL_RANGE):
        cure = (
            f"give {name.replace(_FULL_RANGE, 'yuv')}: the range stays that of the source" if name.startswith(_FULL_RANGE) else None
        )
        raise UsageError("cannot be the format of an output", setting="output_pix_fmt", value=name, cure=cure or "such as yuv420p")


def chosen_pix_fmt(spec: EncoderSpec, clip: Clip, shaped: Clip, asked: str | None, supported: tuple[str, ...]) -> str:
    """The format for the encoder of ``spec``, which takes ``supported`` (empty: any), at the size of ``shaped``.

    Raises `UsageError` if the one that is ``asked`` for is not supported, or does not fit the size.
    """
    fitting = tuple(name for name in supported if divides(name, shaped.width, shaped.height))
    crops = spec.codec in _CROPS_CHROMA
    if asked is None:
        if crops and divides(clip.pix_fmt, clip.width, clip.height) and not divides(clip.pix_fmt, shaped.width, shaped.height):
            size = f"{shaped.width}x{shaped.height}"
            problem = f"{clip.path}: the output would be {size}, and {clip.pix_fmt} has no place for an odd side"
            raise UsageError(problem, cure=f"give an even size, or {setting('output_pix_fmt', 'yuv444p')}")
        # AV1 and VP9 have odd sizes with any chroma format; without a fitting format the encoder gets the closest that it knows.
        return _nearest(clip.pix_fmt, fitting if crops and fitting else supported)
    full = asked.replace("yuv", _FULL_RANGE, 1)
    # The source's own full range must not be converted.
    name = full if clip.pix_fmt.startswith(_FULL_RANGE) and (full in supported or full == clip.pix_fmt) else asked
    if supported and name not in supported:
        names = ", ".join(one for one in supported if not one.startswith(_FULL_RANGE))
        raise UsageError(f"is not supported by {spec.name}", setting="output_pix_fmt", value=asked, cure=f"one of {names}")
    if av.VideoFormat(name).is_rgb and not av.VideoFormat(clip.pix_fmt).is_rgb:
        problem = f"is R'G'B', the source is {clip.pix_fmt}: colours would change"
        raise UsageError(problem, setting="output_pix_fmt", value=asked, cure="give a format of Y'CbCr")
    if crops and not divides(name, shaped.width, shaped.height):
        problem = f"has no place for an odd side: the output is {shaped.width}x{shaped.height}"
        raise UsageError(problem, setting="output_pix_fmt", value=asked, cure="give an even size, or a 4:4:4 format")
    return name


def _nearest(pix_fmt: str, supported: tuple[str, ...]) -> str:
    """The source's own format if it is supported, or if ``supported`` is empty; else the closest."""
    if not supported or pix_fmt in supported:
        return pix_fmt
    best, _ = find_best_pix_fmt_of_list(list(supported), pix_fmt)
    return best.name if best is not None else pix_fmt


def divides(pix_fmt: str, width: int, height: int) -> bool:
    """Whether width and height are multiples of the chroma subsampling of ``pix_fmt``.

    H.264 and HEVC crop in whole chroma samples (H.264, 7.4.2.1.1; HEVC, 7.4.3.2.1), so an odd side needs chroma at full resolution
    in that direction.
    """
    form = av.VideoFormat(pix_fmt)
    return form.chroma_width(width) * (16 // form.chroma_width(16)) == width and (
        form.chroma_height(height) * (16 // form.chroma_height(16)) == height
    )
