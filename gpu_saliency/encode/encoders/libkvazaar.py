"""libkvazaar (HEVC): reads a file with a grid of QP offsets for every frame."""

from __future__ import annotations

from gpu_saliency.encode.channels.kvazaar_roi import KvazaarRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.libx264 import PRESETS
from gpu_saliency.encode.encoders.spec import SENDS_PLAN, EncoderSpec, Quality
from gpu_saliency.errors import setting

LIBKVAZAAR = EncoderSpec(
    name="libkvazaar",
    codec="hevc",
    channels=(KvazaarRoi(), Prefilter()),
    quality=Quality("qp", 0, 51, 27, whole=True),
    params_option="-kvazaar-params",
    params_separator=",",
    presets=PRESETS,
    preset_option="preset",
    preset_default="medium",
    fastest_preset="ultrafast",
    owned_params={
        "qp": f"use {setting('crf')}",
        "bitrate": f"use {setting('bitrate')}",
        "preset": f"use {setting('preset')}",
        "roi": SENDS_PLAN,
    },
    bitrate_param="bitrate",
    threads_param="threads",
    side_multiple=8,
    codec_tags={".mp4": "hvc1", ".mov": "hvc1"},
)
