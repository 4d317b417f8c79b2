"""libvvenc (H.266): VVenC has no interface for regions at all, so that the prefilter is all there is."""

from __future__ import annotations

from gpu_saliency.channels.prefilter import Prefilter
from gpu_saliency.encoders.spec import EncoderSpec, Quality

LIBVVENC = EncoderSpec(
    name="libvvenc",
    codec="vvc",
    channels=(Prefilter(),),
    quality=Quality("-qp", 0, 63, 32, whole=True),
    params_option="-vvenc-params",
    presets=("faster", "fast", "medium", "slow", "slower"),
    preset_default="medium",
    fastest_preset="faster",
    owned_params={
        "qp": "use --crf",
        "targetbitrate": "use --bitrate",
        "bitrate": "use --bitrate",
        "preset": "use --preset",
        "passes": "use --bitrate",
        "pass": "use --bitrate",
        "rcstatsfile": "use --bitrate",
    },
    passes="ffmpeg",
    # With threads, ffmpeg's wrapper now and then takes a pause at the end of its input for the end of the encoder's output: frames
    # are lost, sometimes all of them, with exit status 0 (seen with VVenC 1.15 in every second run of a clip of 48 frames).
    retry_params={"threads": "1"},
    # Matroska lost frames of it, and most other containers have no place for it.
    suffixes=(".mp4", ".mov", ".vvc", ".266"),
)
