"""libsvtav1: uses SVT-AV1's library outside of ffmpeg, or its program, with an ROI map where one is there, else the prefilter.

FFmpeg's wrapper has no option for SVT-AV1's ROI map and does not read regions.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.channels.svtav1_map import SvtAv1Map
from gpu_saliency.encode.encoders.spec import AV1_SUFFIXES, SENDS_PLAN, EncoderSpec, PeakLimit, Quality
from gpu_saliency.errors import setting

LIBSVTAV1 = EncoderSpec(
    name="libsvtav1",
    codec="av1",
    channels=(SvtAv1Map(), Prefilter()),
    # 0 means "not set" to ffmpeg's wrapper.
    quality=Quality("-crf", 1, 63, 35, whole=True, fine_param="crf"),
    params_option="-svtav1-params",
    presets=tuple(str(preset) for preset in range(14)),
    preset_default="8",
    best_background_presets=tuple(str(preset) for preset in range(3)),
    fastest_preset="12",
    owned_params={
        "crf": f"use {setting('crf')}",
        "qp": f"use {setting('crf')}",
        "rc": f"use {setting('crf')} or {setting('bitrate')}",
        "mbr": f"use {setting('maxrate')}",
        "tbr": f"use {setting('bitrate')}",
        "preset": f"use {setting('preset')}",
        "pass": "leave it out: libsvtav1 runs in one pass",
        "stats": "leave it out: libsvtav1 runs in one pass",
        "roi-map-file": SENDS_PLAN,
        "input": "leave it out: ffmpeg pipes the source to the encoder",
        "i": "leave it out: ffmpeg pipes the source to the encoder",
        "b": f"use {setting('output')}",
        "c": "give its options one by one: the file would override other options",
        "config": "give its options one by one: the file would override other options",
    },
    # Its limit of the rate (mbr) is for constant quality only.
    peak=PeakLimit(has_buffer=False, with_bitrate=False, most=100_000_000),
    suffixes=AV1_SUFFIXES,
    grid_params={"keyint": "{n}", "irefresh-type": "2", "scd": "0"},
)
