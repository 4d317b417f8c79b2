"""Raw planar video: a file of pixel values without a header; the user gives size, pixel format and frame rate."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from gpu_saliency.errors import SourceError, UsageError, setting
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.find_span import find_span
from gpu_saliency.source.frame_rate import frames_in

RAW_SUFFIXES = frozenset({".yuv", ".raw"})
RAW_PIX_FMTS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
DEFAULT_RAW_PIX_FMT = "yuv420p"
DEFAULT_RAW_FRAME_RATE = Fraction(24)


def probe_raw(
    path: Path,
    width: int | None,
    height: int | None,
    pix_fmt: str | None,
    frame_rate: Fraction | None,
    start: float,
    duration: float,
) -> Clip:
    """Describe the raw file ``path``; the parameters are those of `probe_clip`.

    Raises `UsageError` for missing or unsupported settings, `SourceError` unless the file holds a whole number of frames.
    """
    if width is None or height is None:
        raise UsageError(f"{path}: raw video has no header with a size", cure=f"give {setting('width')} and {setting('height')}")
    pix_fmt = pix_fmt or DEFAULT_RAW_PIX_FMT
    if pix_fmt.endswith("p10"):
        pix_fmt += "le"
    if pix_fmt not in RAW_PIX_FMTS:
        cure = "one of " + ", ".join(RAW_PIX_FMTS)
        raise UsageError("not supported for raw video", setting="pix_fmt", value=pix_fmt, cure=cure)
    frame_rate = frame_rate or DEFAULT_RAW_FRAME_RATE
    size, frame_bytes = path.stat().st_size, raw_frame_bytes(width, height, pix_fmt)
    frames, rest = divmod(size, frame_bytes)
    if rest:
        raise SourceError(
            f"{path}: {size} bytes are {frames} frames of {width}x{height} {pix_fmt} ({frame_bytes} bytes each) "
            f"and {rest} bytes more",
            cure=f"check {setting('width')}, {setting('height')} and {setting('pix_fmt')}, and that the file is complete",
        )
    clip = Clip(
        path=path,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        frame_rate=frame_rate,
        frame_count=frames,
        start=start,
        duration=duration,
        is_raw=True,
        size_bytes=size,
    )
    span = find_span(clip, None, frames) if start else None
    return replace(clip, frame_count=frames_in(start, duration, frames, frame_rate), span=span)


def raw_frame_bytes(width: int, height: int, pix_fmt: str) -> int:
    """Size in bytes of one frame of planar YUV in libavutil's layout: the sides of chroma planes are rounded up."""
    sub_x, sub_y = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[pix_fmt[3:6]]
    chroma = -(-width // sub_x) * -(-height // sub_y)
    return (width * height + 2 * chroma) * (2 if "10" in pix_fmt[6:] else 1)
