"""The specs of hardware encoders, written from ffmpeg's sources; none of them has been tested.

QSV and VAAPI read regions (libavcodec/qsvenc_h264.c, vaapi_encode.c). NVENC's wrapper has no code for them, but with the patches of
VMAFx/pelorus: they turn regions into its map of QP offsets, where the option `_SWITCH` is on and adaptive quantisation, as by
default, off.
"""

from __future__ import annotations

from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.channels.svtav1_map import DELTA_PER_QP
from gpu_saliency.encode.encoders.spec import AV1_SUFFIXES, EncoderSpec, PeakLimit, Quality

_SWITCH = "pelorus_roi"
_AV1_STEPS = 255
"""A ``qoffset`` of 1 changes AV1's quantiser index by this number."""
_HVC1 = {".mp4": "hvc1", ".mov": "hvc1"}


def _qsv(codec: str) -> EncoderSpec:
    return EncoderSpec(
        name=f"{codec}_qsv",
        codec=codec,
        channels=(AddRoi(), Prefilter()),
        quality=Quality("-global_quality", 1, 51, 25, whole=True),
        presets=("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
        preset_default="medium",
        fastest_preset="veryfast",
        pix_fmts=("nv12",) if codec == "h264" else ("nv12", "p010le"),
        codec_tags=_HVC1 if codec == "hevc" else {},
    )


def _vaapi(codec: str) -> EncoderSpec:
    return EncoderSpec(
        name=f"{codec}_vaapi",
        codec=codec,
        channels=(AddRoi(),),
        quality=Quality("-qp", 1, 51, 24, whole=True, extra=("-rc_mode", "CQP")),
        global_arguments=("-vaapi_device", "/dev/dri/renderD128"),
        last_filters="hwupload",
        pix_fmts=("nv12",) if codec == "h264" else ("nv12", "p010le"),
        codec_tags=_HVC1 if codec == "hevc" else {},
    )


def _nvenc(codec: str) -> EncoderSpec:
    regions = AddRoi(switch=_SWITCH)
    if codec == "av1":
        regions = AddRoi(qp_range=lambda _bit_depth: _AV1_STEPS, steps_per_qp=DELTA_PER_QP, switch=_SWITCH)
    return EncoderSpec(
        name=f"{codec}_nvenc",
        codec=codec,
        channels=(regions, Prefilter()),
        quality=Quality("-cq", 1, 51, 27, extra=("-rc", "vbr", "-b:v", "0")),
        presets=("p1", "p2", "p3", "p4", "p5", "p6", "p7"),
        preset_default="p4",
        fastest_preset="p1",
        codec_tags=_HVC1 if codec == "hevc" else {},
        peak=PeakLimit(),
        suffixes=AV1_SUFFIXES if codec == "av1" else (),
    )


HARDWARE = (_qsv("h264"), _qsv("hevc"), _vaapi("h264"), _vaapi("hevc"), _nvenc("h264"), _nvenc("hevc"), _nvenc("av1"))
