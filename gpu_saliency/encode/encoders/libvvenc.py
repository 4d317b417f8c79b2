"""libvvenc (H.266): VVenC has no interface for regions at all, so that the prefilter is all there is."""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality

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
    # ffmpeg's wrapper takes a pause of VVenC's threads, after the end of its input, for the end of the output: frames are lost,
    # sometimes all of them, with exit status 0. Of a clip of 48 frames on a busy machine every fifth run lost all with one thread;
    # without any (which is not the same) none of 24 did.
    retry_params={"threads": "0"},
    # Matroska lost frames of it, and most other containers have no place for it.
    suffixes=(".mp4", ".mov", ".vvc", ".266"),
)
