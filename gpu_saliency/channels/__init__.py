"""How an ROI reaches each encoder: one file per encoder, and this table."""

from __future__ import annotations

from gpu_saliency.channels.base import EncoderSpec
from gpu_saliency.channels.libx264 import LIBX264
from gpu_saliency.channels.libx265 import LIBX265
from gpu_saliency.errors import UnsupportedEncoderError

ENCODERS: dict[str, EncoderSpec] = {spec.name: spec for spec in (LIBX264, LIBX265)}


def encoder_spec(name: str) -> EncoderSpec:
    """What is known of encoder ``name``. Raises `UnsupportedEncoderError` (exit code 2) for one without a spatial ROI channel."""
    if name in ENCODERS:
        return ENCODERS[name]
    raise UnsupportedEncoderError(
        f"--encoder {name}: has no spatial ROI channel here",
        cure="use " + " or ".join(ENCODERS) + ", or --saliency-fallback-plain for a plain encode",
        evidence={"encoder": name, "supported_encoders": list(ENCODERS)},
    )


__all__ = ["ENCODERS", "EncoderSpec", "encoder_spec"]
