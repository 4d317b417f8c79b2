"""libsvtav1: the program SvtAv1EncApp with an ROI map where a usable one is found, else the prefilter.

FFmpeg's wrapper has no key for SVT-AV1's ROI map and reads no region side data.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.channels.svtav1_map import SvtAv1Map
from gpu_saliency.encode.encoders.spec import AV1_SUFFIXES, EncoderSpec, Quality

LIBSVTAV1 = EncoderSpec(
    name="libsvtav1",
    codec="av1",
    channels=(SvtAv1Map(), Prefilter()),
    # 0 means "not set" to ffmpeg's wrapper.
    quality=Quality("-crf", 1, 63, 35, whole=True),
    params_option="-svtav1-params",
    presets=tuple(str(preset) for preset in range(14)),
    preset_default="8",
    fastest_preset="12",
    owned_params={
        "crf": "use --crf",
        "qp": "use --crf",
        "rc": "use --crf or --bitrate",
        "tbr": "use --bitrate",
        "preset": "use --preset",
        "pass": "libsvtav1 runs in one pass here",
        "stats": "libsvtav1 runs in one pass here",
        "roi-map-file": "it is what the plan is sent by",
        "input": "use --src",
        "i": "use --src",
        "b": "use --output",
        "c": "it would override other options; give them one by one",
        "config": "it would override other options; give them one by one",
    },
    suffixes=AV1_SUFFIXES,
)
