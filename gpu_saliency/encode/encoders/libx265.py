"""libx265: reads regions from addroi; settings with which it silently drops them are refused.

Measured with x265 4.3: it drops regions, without a message, with constant QP and with ``aq-mode=0`` (which *ultrafast* and
*superfast* imply). If regions begin on a later frame than the first, the process ends with a segmentation fault; if they end, their
offsets stay in effect. So the addroi chain puts a region on every frame.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.libx264 import CONSTANT_QP, PRESETS, is_zero
from gpu_saliency.encode.encoders.spec import SETS_QP, EncoderSpec, PeakLimit, Quality, refuse_param
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import setting

_STEPS_PER_QP = 0.9
"""Ratio of the steps of CRF that halve the size, 4.4 and 5.0 in libx264: a step of QP moves more bits here."""
_PRESETS_WITHOUT_AQ = frozenset({"ultrafast", "superfast"})
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
    "lossless": "leave it out: offsets have no effect in a lossless encode",
    "cu-lossless": "leave it out: offsets have no effect in a lossless block",
    "zones": SETS_QP,
    "zonefile": SETS_QP,
}


def _keep_regions(target: EncodeTarget) -> Params:
    params = target.params
    if params.get("aq-mode") == "0":
        raise refuse_param("aq-mode=0", "libx265 ignores regions without adaptive quantisation", cure="leave it out")
    if is_zero(params.get("aq-strength")):
        raise refuse_param("aq-strength=0", "libx265 may then ignore regions", cure="use 0.01, which has almost no effect")
    if target.preset in _PRESETS_WITHOUT_AQ and "aq-mode" not in params:
        # x265's other presets use mode 2 at strength 1; these two set both to 0.
        return {"aq-mode": "2", "aq-strength": "1", **params}
    return params


LIBX265 = EncoderSpec(
    name="libx265",
    codec="hevc",
    channels=(AddRoi(keep_regions=_keep_regions, steps_per_qp=_STEPS_PER_QP), Prefilter()),
    params_option="-x265-params",
    presets=PRESETS,
    preset_default="medium",
    quality=Quality("-crf", 0, 51, 28, per_octave=4.4, same_size=29, octaves_per_step=0.0115),
    owned_params=OWNED,
    # QuickTime and Safari play HEVC only under this tag.
    codec_tags={".mp4": "hvc1", ".mov": "hvc1"},
    passes="params",
    grid_params={"keyint": "{n}", "min-keyint": "{n}", "scenecut": "0", "open-gop": "0"},
    peak=PeakLimit(is_exact=True, start_param="vbv-init"),
)
