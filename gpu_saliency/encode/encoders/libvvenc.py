"""libvvenc (H.266): VVenC has no interface for regions, so the prefilter is its only channel."""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import EncoderSpec, PeakLimit, Quality
from gpu_saliency.errors import setting

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
        "qp": f"use {setting('crf')}",
        "targetbitrate": f"use {setting('bitrate')}",
        "bitrate": f"use {setting('bitrate')}",
        "preset": f"use {setting('preset')}",
        "passes": f"use {setting('bitrate')}",
        "pass": f"use {setting('bitrate')}",
        "maxbitrate": f"use {setting('maxrate')}",
        "rcstatsfile": f"use {setting('bitrate')}",
    },
    passes="ffmpeg",
    peak=PeakLimit(has_buffer=False, least_by_bitrate=1.5),
    # If VVenC's threads pause after the end of the input, ffmpeg's wrapper takes the pause for the end of the output: frames are
    # lost, sometimes all of them, with exit status 0. With a clip of 48 frames on a busy machine every fifth run with threads=1
    # lost all frames; with threads=0 (which is not the same) 0 of 24 runs did.
    retry_params={"threads": "0"},
    # Matroska lost frames of H.266, and most other containers cannot hold it.
    suffixes=(".mp4", ".mov", ".vvc", ".266"),
)
