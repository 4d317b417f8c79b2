"""libvpx-vp9: reads regions only in realtime mode, with fast speeds, no adaptive quantisation and no look-ahead.

VP9 has 8 segments per frame, so the wrapper keeps at most 8 different offsets. Its quality scale ends at 63, and over that scale
the quantiser's step doubles 8.8 times (4 to 1828, the VP9 bitstream specification's ac_qlookup at 8 bit): 7.1 steps of the scale
for a doubling, where H.264 has 6. The wrapper uses integer division, so fractions of a step are lost (libavcodec/libvpxenc.c).
"""

from __future__ import annotations

from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality

LIBVPX_VP9 = EncoderSpec(
    name="libvpx-vp9",
    codec="vp9",
    channels=(AddRoi(qp_range=lambda _bit_depth: 63, steps_per_qp=7.1 / 6, is_whole=True), Prefilter()),
    quality=Quality("-crf", 0, 63, 32, whole=True, extra=("-b:v", "0")),
    presets=("5", "6", "7", "8"),
    preset_option="-cpu-used",
    preset_default="5",
    fastest_preset="8",
    suffixes=(".mp4", ".mkv", ".webm", ".ivf"),
    grid_arguments=("-g", "{n}", "-keyint_min", "{n}"),
    arguments=("-deadline", "realtime", "-aq-mode", "0", "-lag-in-frames", "0", "-row-mt", "1"),
)
