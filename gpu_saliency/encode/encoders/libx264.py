"""libx264: regions through addroi, and the settings that would silently drop them.

Measured with x264 core 165: constant QP drops regions, and so do ``aq-mode=0`` (which the preset *ultrafast* implies) and
``aq-strength=0`` together with ``mbtree=0``; nothing is printed. ``--crf 0`` at 8 bit is lossless, which is constant QP 0.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import UsageError

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
CONSTANT_QP = "constant QP ignores regions; use --crf"
OWNED = {
    "qp": CONSTANT_QP,
    "crf": "use --crf",
    "preset": "use --preset",
    "bitrate": "use --bitrate",
    "vbv-maxrate": "use --crf",
    "pass": "use --bitrate",
    "stats": "use --bitrate",
    "zones": "it sets QP itself, against the plan",
    "qpfile": "it is an option of x264's own program; ffmpeg ignores it",
}


def _keep_regions(target: EncodeTarget) -> Params:
    params = target.params
    if target.crf == 0 and target.bit_depth == 8:
        raise UsageError("--crf 0: is lossless in libx264 at 8 bit, where no offset has a meaning", cure="use --crf 1 or more")
    if params.get("aq-mode") == "0":
        raise UsageError("--encoder-params aq-mode=0: libx264 ignores regions without adaptive quantisation", cure="leave it out")
    if is_zero(params.get("aq-strength")):
        raise UsageError("--encoder-params aq-strength=0: libx264 may ignore regions then", cure="0.01 is as good as off")
    if target.preset == "ultrafast" and "aq-mode" not in params:
        return {**params, "aq-mode": "1"}
    return params


def is_zero(value: str | None) -> bool:
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
    quality=Quality("-crf", 0, 51, 23),
    owned_params=OWNED,
    passes="ffmpeg",
)
