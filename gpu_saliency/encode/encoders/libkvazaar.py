"""libkvazaar (HEVC): a map of QP offsets in a file, for each frame anew."""

from __future__ import annotations

from gpu_saliency.encode.channels.kvazaar_roi import KvazaarRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.libx264 import PRESETS
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality

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
        "qp": "use --crf",
        "bitrate": "use --bitrate",
        "preset": "use --preset",
        "roi": "it is what the plan is sent by",
    },
    bitrate_param="bitrate",
    side_multiple=8,
    codec_tags={".mp4": "hvc1", ".mov": "hvc1"},
)
