"""The table of encoders: the spec of each, with its channels, the best first."""

from __future__ import annotations

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
from gpu_saliency.errors import UnsupportedEncoderError, near, setting

SOFTWARE = (LIBX264, LIBX265, LIBAOM, LIBSVTAV1, LIBVVENC, LIBVPX_VP9, LIBKVAZAAR)
ENCODERS: dict[str, EncoderSpec] = {spec.name: spec for spec in (*SOFTWARE, *HARDWARE)}
CHANNELS: tuple[str, ...] = tuple(sorted({channel.name for spec in ENCODERS.values() for channel in spec.channels}))
_KNOWN = f"{', '.join(spec.name for spec in SOFTWARE)}, or a QSV, VAAPI or NVENC encoder"
_OTHERS = (
    f"for any other encoder of ffmpeg give {setting('roi_channel', 'prefilter')}, or {setting('fallback_plain', True)} "
    "for a plain encode"
)

_ALIASES = {
    **dict.fromkeys(("x264", "264", "h264", "h.264", "avc"), "libx264"),
    **dict.fromkeys(("x265", "265", "h265", "h.265", "hevc"), "libx265"),
    **dict.fromkeys(("av1", "svt", "svtav1", "svt-av1", "libsvt-av1", "svtav1encapp"), "libsvtav1"),
    **dict.fromkeys(("aom", "aomenc", "libaom", "aom-av1"), "libaom-av1"),
    **dict.fromkeys(("vp9", "vpx", "libvpx", "vpx-vp9"), "libvpx-vp9"),
    **dict.fromkeys(("vvc", "h266", "h.266", "x266", "vvenc"), "libvvenc"),
    **dict.fromkeys(("nvenc", "nvenc-h264", "h264-nvenc"), "h264_nvenc"),
    **dict.fromkeys(("nvenc-hevc", "hevc-nvenc"), "hevc_nvenc"),
    **dict.fromkeys(("qsv", "qsv-h264", "h264-qsv"), "h264_qsv"),
    **dict.fromkeys(("vaapi", "h264-vaapi"), "h264_vaapi"),
}
"""Other names of codecs and programs, and the encoder that their users mean."""


def encoder_spec(name: str) -> EncoderSpec:
    """Look ``name`` up in the table of encoders. Raises `UnsupportedEncoderError` (exit code 2) if it is not in the table."""
    if name in ENCODERS:
        return ENCODERS[name]
    meant = _ALIASES.get(name.lower().replace("_", "-"))
    guess = near(name, ENCODERS) if meant is None else f", did you mean {meant}?"
    raise UnsupportedEncoderError(
        f"unknown encoder{guess}",
        cure=f"gpu-saliency doctor lists the encoders that work here; {_OTHERS}" if guess else f"use {_KNOWN}; {_OTHERS}",
        evidence={"encoder": name, "supported_encoders": list(ENCODERS)},
        setting="encoder",
        value=name,
    )


__all__ = ["CHANNELS", "ENCODERS", "HARDWARE", "SOFTWARE", "EncoderSpec", "encoder_spec", "generic_spec"]
