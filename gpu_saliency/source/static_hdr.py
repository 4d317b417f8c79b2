"""Reads the static HDR metadata of a clip: the mastering display and the light levels, which hold for all frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import av
from av.sidedata.sidedata import SideData

from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.reading import ended

_DISPLAY = struct.Struct("=20i2i")
"""AVMasteringDisplayMetadata (libavutil/mastering_display_metadata.h): ten fractions, and whether the chromaticities and the
luminances are given."""
_LIGHT = struct.Struct("=2I")
"""AVContentLightMetadata, of the same file."""
_SDR_BITS = 8


@dataclass(frozen=True, slots=True)
class StaticHdr:
    """Static HDR metadata of a clip (SMPTE ST 2086, CTA-861.3). Produced by `static_hdr`."""

    display: tuple[float, ...] = ()
    """Chromaticities x and y of red, green, blue and white, then lowest and highest luminance in cd/m2; empty if not given."""
    light: tuple[int, ...] = ()
    """Highest light level of a pixel and highest average of a frame in cd/m2; empty if not given."""


def static_hdr(clip: Clip) -> StaticHdr:
    """Read the static HDR metadata of ``clip`` from its first frame; those of a clip of 8 bits are not looked for.

    Raises `SourceError` if the file cannot be opened.
    """
    if clip.is_raw or av.VideoFormat(clip.pix_fmt).components[0].bits <= _SDR_BITS:
        return StaticHdr()
    with open_clip(clip) as container:
        try:
            with ended(container.decode(video_stream_of(container, clip.stream))) as frames:
                frame = next(frames)
        except (av.FFmpegError, StopIteration):  # the analysis reports a damaged source
            return StaticHdr()
        display, light = (frame.side_data.get(kind) for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"))
        return StaticHdr(_display(_bytes(display)), _light(_bytes(light)))


def _bytes(data: object) -> bytes:
    return bytes(data) if isinstance(data, SideData) else b""


def _display(data: bytes) -> tuple[float, ...]:
    if len(data) < _DISPLAY.size:
        return ()
    *numbers, has_primaries, has_luminance = _DISPLAY.unpack_from(data)
    if not has_primaries or not has_luminance or not all(numbers[1::2]):
        return ()
    return tuple(float(Fraction(top, bottom)) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True))


def _light(data: bytes) -> tuple[int, ...]:
    return _LIGHT.unpack_from(data) if len(data) >= _LIGHT.size else ()
