"""The frame rate of a stream whose container does not state a usable one: AVI that counts ticks, and bare bitstreams."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import av
import av.container
import av.video.stream

from gpu_saliency.source.reading import ended

BARE_BITSTREAMS = frozenset(
    [
        "avs2",
        "avs3",
        "cavsvideo",
        "dirac",
        "dnxhd",
        "evc",
        "h261",
        "h263",
        "h264",
        "hevc",
        "m4v",
        "mjpeg",
        "mpegvideo",
        "obu",
        "vc1",
        "vvc",
    ]
)
"""libavformat's names of the formats that are a codec's bitstream without a container; their frames have no time stamps."""
_PACKETS = 64


def is_bare(container: str) -> bool:
    """Whether the ``container``, libavformat's name, is a bitstream without time stamps, or pictures one after the other."""
    return container in BARE_BITSTREAMS or container.endswith("_pipe")


def clock_rate(container: av.container.InputContainer, video: av.video.stream.VideoStream) -> Fraction | None:
    """Frames per second; ``None`` where the stream has none.

    In AVI the rate of the header may count ticks of which a frame takes several (600 per second, as remuxed MP4), so there it is
    measured on the first packets. A bare bitstream has the rate of its headers, else libavformat's default of 25.
    """
    if container.format.name == "avi":
        measured = _measured(container, video)
        if measured is not None and video.average_rate and abs(measured / video.average_rate - 1) > Fraction(1, 100):
            return measured
    if is_bare(container.format.name):
        return video.guessed_rate or video.average_rate
    return video.average_rate or video.guessed_rate


def _measured(container: av.container.InputContainer, video: av.video.stream.VideoStream) -> Fraction | None:
    """The rate by the mean distance of the first decode times. Seeks back to the start."""
    try:
        with ended(container.demux(video)) as packets:
            filled = islice((packet for packet in packets if packet.size), _PACKETS)
            stamps = [packet.dts for packet in filled if packet.dts is not None]
        container.seek(0)
    except av.FFmpegError:
        return None
    if len(stamps) < 2 or stamps[-1] <= stamps[0] or not video.time_base:
        return None
    return Fraction(len(stamps) - 1, stamps[-1] - stamps[0]).limit_denominator(1001 * 60) / video.time_base
