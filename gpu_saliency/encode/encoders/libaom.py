"""libaom-av1: the prefilter, or rate-guided delta-q where that is asked for.

Measured by ``benchmarks/bd_rate.py``: over four clips both gain the same inside, and rate-guided delta-q costs less outside.
But its gain varies from clip to clip down to a loss, it misses the size, and grain hides it; so it is not the default.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.channels.rate_guide import RateGuide
from gpu_saliency.encode.encoders.spec import AV1_SUFFIXES, EncoderSpec, Quality

LIBAOM = EncoderSpec(
    name="libaom-av1",
    codec="av1",
    channels=(Prefilter(), RateGuide()),
    quality=Quality("-crf", 1, 63, 32, whole=True),
    params_option="-aom-params",
    presets=tuple(str(speed) for speed in range(9)),
    preset_option="-cpu-used",
    preset_default="6",
    fastest_preset="8",
    arguments=("-row-mt", "1"),
    owned_params={
        "cq-level": "use --crf",
        "end-usage": "use --crf or --bitrate",
        "target-bitrate": "use --bitrate",
        "cpu-used": "use --preset",
        "deltaq-mode": "it is what the plan is sent by",
        "enable-rate-guide-deltaq": "it is what the plan is sent by",
        "rate-distribution-info": "it is what the plan is sent by",
    },
    passes="ffmpeg",
    suffixes=AV1_SUFFIXES,
)
