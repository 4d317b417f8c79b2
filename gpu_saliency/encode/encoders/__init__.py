"""The table of encoders: the spec of each, with its channels, the best first."""

from __future__ import annotations

import difflib

from gpu_saliency.encode.encoders.generic import generic_spec
from gpu_saliency.encode.encoders.hardware import HARDWARE
from gpu_saliency.encode.encoders.libaom import LIBAOM
from gpu_saliency.encode.encoders.libkvazaar import LIBKVAZAAR
from gpu_saliency.encode.encoders.libsvtav1 import LIBSVTAV1
from gpu_saliency.encode.encoders.libvpx import LIBVPX_VP9
from gpu_saliency.encode.encoders.libvvenc import LIBVVENC
from gpu_saliency.encode.encoders.libx264 import LIBX264
from gpu_saliency.encode.encoders.libx265 import LIBX265
from gpu_saliency.encode.encoders.spec import EncoderSpec
from gpu_saliency.errors import UnsupportedEncoderError, setting

SOFTWARE = (LIBX264, LIBX265, LIBAOM, LIBSVTAV1, LIBVVENC, LIBVPX_VP9, LIBKVAZAAR)
ENCODERS: dict[str, EncoderSpec] = {spec.name: spec for spec in (*SOFTWARE, *HARDWARE)}
CHANNELS: tuple[str, ...] = tuple(sorted({channel.name for spec in ENCODERS.values() for channel in spec.channels}))
_CURE = (
    f"use {', '.join(spec.name for spec in SOFTWARE)}, or a QSV, VAAPI or NVENC encoder; for any other encoder of ffmpeg give "
    f"{setting('roi_channel', 'prefilter')}, or {setting('fallback_plain', True)} for a plain encode"
)


def encoder_spec(name: str) -> EncoderSpec:
    """Look ``name`` up in the table of encoders. Raises `UnsupportedEncoderError` (exit code 2) if it is not in the table."""
    if name in ENCODERS:
        return ENCODERS[name]
    near = difflib.get_close_matches(name, ENCODERS, n=1)
    raise UnsupportedEncoderError(
        f"unknown encoder, did you mean {near[0]}?" if near else "unknown encoder",
        cure=_CURE,
        evidence={"encoder": name, "supported_encoders": list(ENCODERS)},
        setting="encoder",
        value=name,
    )


__all__ = ["CHANNELS", "ENCODERS", "HARDWARE", "SOFTWARE", "EncoderSpec", "encoder_spec", "generic_spec"]
