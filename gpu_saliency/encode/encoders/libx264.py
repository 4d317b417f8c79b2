"""libx264: reads regions from addroi; settings with which it silently drops them are refused.

Measured with x264 core 165: it drops regions, without a message, with constant QP, with ``aq-mode=0`` (which the preset *ultrafast*
implies), and with ``aq-strength=0`` together with ``mbtree=0``. ``crf`` 0 at 8 bit is lossless, which is constant QP 0.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import SETS_QP, EncoderSpec, PeakLimit, Quality, refuse_param
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.source.fields import BOTTOM_FIRST, TOP_FIRST

PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
CONSTANT_QP = f"use {setting('crf')}: constant QP ignores regions"
OWNED = {
    "qp": CONSTANT_QP,
    "crf": f"use {setting('crf')}",
    "preset": f"use {setting('preset')}",
    "bitrate": f"use {setting('bitrate')}",
    "vbv-maxrate": f"use {setting('maxrate')}",
    "vbv-bufsize": f"use {setting('bufsize')}",
    "vbv-init": "leave it out: a part continues the buffer of the one before it",
    "pass": f"use {setting('bitrate')}",
    "stats": f"use {setting('bitrate')}",
    "zones": SETS_QP,
    "qpfile": "leave it out: only x264's own program reads it",
}


def _keep_regions(target: EncodeTarget) -> Params:
    params = target.params
    if target.crf == 0 and target.bit_depth == 8:
        raise UsageError(
            "is lossless in libx264 at 8 bit, where offsets have no effect", setting="crf", value=target.crf, cure="give 1 or more"
        )
    if params.get("aq-mode") == "0":
        raise refuse_param("aq-mode=0", "libx264 ignores regions without adaptive quantisation", cure="leave it out")
    if is_zero(params.get("aq-strength")):
        raise refuse_param("aq-strength=0", "libx264 may then ignore regions", cure="use 0.01, which has almost no effect")
    if target.preset == "ultrafast" and "aq-mode" not in params:
        return {**params, "aq-mode": "1"}
    return params


def is_zero(value: str | None) -> bool:
    """Whether ``value`` is a number equal to 0."""
    try:
        return value is not None and float(value) == 0
    except ValueError:
        return False


LIBX264 = EncoderSpec(
    name="libx264",
    codec="h264",
    channels=(AddRoi(keep_regions=_keep_regions), Prefilter()),
    params_option="-x264-params",
    presets=PRESETS,
    preset_default="medium",
    quality=Quality("-crf", 0, 51, 23, per_octave=5.0, same_size=31, octaves_per_step=0.0097),
    owned_params=OWNED,
    passes="ffmpeg",
    # From the statistics of the first pass x264 chooses values of its parameter sets, and parts must agree in these.
    pass_params={"stitchable": "1"},
    peak=PeakLimit(is_exact=True, start_param="vbv-init"),
    # x264 itself uses regions in interlaced coding too; ffmpeg's wrapper drops them (libavcodec/libx264.c, "not supported").
    field_params={TOP_FIRST: {"tff": "1"}, BOTTOM_FIRST: {"bff": "1"}},
    grid_params={"keyint": "{n}", "min-keyint": "{n}", "scenecut": "0", "open-gop": "0"},
    drops_regions_of_fields=True,
)
