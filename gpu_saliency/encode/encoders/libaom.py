"""libaom-av1: uses the prefilter, or rate-guided delta-q if the user forces it.

Measured by ``benchmarks/bd_rate.py`` over four clips: rate-guided delta-q improves the inside more on average. But its gain varies
between clips and can be a loss, it does not keep the size, and grain hides its effect; so it is not the default.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.channels.rate_guide import RateGuide
from gpu_saliency.encode.encoders.spec import AV1_SUFFIXES, SENDS_PLAN, EncoderSpec, Quality
from gpu_saliency.errors import setting

LIBAOM = EncoderSpec(
    name="libaom-av1",
    codec="av1",
    channels=(Prefilter(), RateGuide()),
    quality=Quality("-crf", 1, 63, 32, whole=True),
    params_option="-aom-params",
    presets=tuple(str(speed) for speed in range(9)),
    preset_option="-cpu-used",
    preset_default="6",
    best_background_presets=tuple(str(speed) for speed in range(3)),
    fastest_preset="8",
    arguments=("-row-mt", "1"),
    owned_params={
        "cq-level": f"use {setting('crf')}",
        "end-usage": f"use {setting('crf')} or {setting('bitrate')}",
        "target-bitrate": f"use {setting('bitrate')}",
        "cpu-used": f"use {setting('preset')}",
        "deltaq-mode": SENDS_PLAN,
        "enable-rate-guide-deltaq": SENDS_PLAN,
        "rate-distribution-info": SENDS_PLAN,
    },
    passes="ffmpeg",
    # No limit of the peak rate: in its modes of a bit rate and of a constrained quality it exceeds -maxrate several times over.
    suffixes=AV1_SUFFIXES,
    grid_arguments=("-g", "{n}", "-keyint_min", "{n}"),
)
