"""libx265: regions through addroi, and the settings that would silently drop them.

Measured with x265 4.3: constant QP and ``aq-mode=0`` (which *ultrafast* and *superfast* imply) drop regions without a word. A
region that first appears on a later frame ends the process with a segmentation fault, and offsets stay on after regions end: the
addroi chain therefore puts a region on every frame.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.libx264 import CONSTANT_QP, PRESETS, is_zero
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import UsageError

_PRESETS_WITHOUT_AQ = frozenset({"ultrafast", "superfast"})
OWNED = {
    "qp": CONSTANT_QP,
    "crf": "use --crf",
    "preset": "use --preset",
    "bitrate": "use --bitrate",
    "vbv-maxrate": "use --crf",
    "pass": "use --bitrate",
    "stats": "use --bitrate",
    "lossless": "no offset has a meaning in a lossless encode",
    "cu-lossless": "no offset has a meaning in a lossless block",
    "zones": "it sets QP itself, against the plan",
    "zonefile": "it sets QP itself, against the plan",
}


def _keep_regions(target: EncodeTarget) -> Params:
    params = target.params
    if params.get("aq-mode") == "0":
        raise UsageError("--encoder-params aq-mode=0: libx265 ignores regions without adaptive quantisation", cure="leave it out")
    if is_zero(params.get("aq-strength")):
        raise UsageError("--encoder-params aq-strength=0: libx265 may ignore regions then", cure="0.01 is as good as off")
    if target.preset in _PRESETS_WITHOUT_AQ and "aq-mode" not in params:
        # Mode 2 at strength 1 is what x265 itself uses from veryfast on; these two presets set both to 0.
        return {"aq-mode": "2", "aq-strength": "1", **params}
    return params


LIBX265 = EncoderSpec(
    name="libx265",
    codec="hevc",
    channels=(AddRoi(keep_regions=_keep_regions), Prefilter()),
    params_option="-x265-params",
    presets=PRESETS,
    preset_default="medium",
    quality=Quality("-crf", 0, 51, 28),
    owned_params=OWNED,
    # QuickTime and Safari play HEVC only under this tag.
    codec_tags={".mp4": "hvc1", ".mov": "hvc1"},
    passes="params",
)
