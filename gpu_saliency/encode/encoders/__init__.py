"""The table: encoder -> what is known of it, its channels among that, the best first."""

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
from gpu_saliency.errors import UnsupportedEncoderError

SOFTWARE = (LIBX264, LIBX265, LIBAOM, LIBSVTAV1, LIBVVENC, LIBVPX_VP9, LIBKVAZAAR)
ENCODERS: dict[str, EncoderSpec] = {spec.name: spec for spec in (*SOFTWARE, *HARDWARE)}
CHANNELS: tuple[str, ...] = tuple(sorted({channel.name for spec in ENCODERS.values() for channel in spec.channels}))


def encoder_spec(name: str) -> EncoderSpec:
    """What is known of encoder ``name``. Raises `UnsupportedEncoderError` (exit code 2) for one that is not in the table."""
    if name in ENCODERS:
        return ENCODERS[name]
    raise UnsupportedEncoderError(
        f"--encoder {name}: has no spatial ROI channel here",
        cure="use one of " + ", ".join(ENCODERS) + "; or --roi-channel prefilter; or --saliency-fallback-plain for a plain encode",
        evidence={"encoder": name, "supported_encoders": list(ENCODERS)},
    )


__all__ = ["CHANNELS", "ENCODERS", "HARDWARE", "SOFTWARE", "EncoderSpec", "encoder_spec", "generic_spec"]
