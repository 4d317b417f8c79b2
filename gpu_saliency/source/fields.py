"""The order of the fields of an interlaced clip: what its container and its frames state.

Encoders code such a clip as interlaced where they can (`EncoderSpec.field_params`), and the output's container states the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import av.container
import av.filter
import av.video.stream

from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.h264_sps import is_always_progressive
from gpu_saliency.source.reading import ended

TOP_FIRST, BOTTOM_FIRST = "tff", "bff"
_BY_NUMBER = {2: TOP_FIRST, 3: BOTTOM_FIRST, 4: TOP_FIRST, 5: BOTTOM_FIRST}
"""libavcodec's AVFieldOrder; 0 is unknown, 1 progressive."""
_INTERLEAVED = {TOP_FIRST: 4, BOTTOM_FIRST: 5}
"""The number that ffmpeg gives to encodes of interlaced frames, in which the lines of both fields alternate."""
_CODED_BY_FRAME = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3", "cavs"})
"""Codecs of which each frame has a flag of its own, so that the order may begin or change within a clip."""
_PLACES = 4
"""Places of a clip at which the flag of a frame is read."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The field order of an interlaced clip."""

    order: str
    """`TOP_FIRST` or `BOTTOM_FIRST`."""
    in_frames: bool
    """Whether frames have the flag; else only the container states the order."""

    number: int
    """The order as a number of libavcodec's AVFieldOrder, for containers that state it."""

    @property
    def text(self) -> str:
        return "top field first" if self.order == TOP_FIRST else "bottom field first"


def order_of(number: int) -> str | None:
    """The order that an AVFieldOrder ``number`` states; ``None`` for progressive and unknown."""
    return _BY_NUMBER.get(int(number))


def fields_of(clip: Clip) -> Fields | None:
    """Read the field order of ``clip`` from its container, and from frames at `_PLACES` places; ``None`` if it is progressive.

    Progressive H.264 in a container with global headers is recognised by these and nothing is decoded. Raises `SourceError`.
    """
    if clip.is_raw:
        return None
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        number = int(video.codec_context.field_order)
        stated = order_of(number)
        flagged = None
        if clip.codec not in _CODED_BY_FRAME:
            flagged = _order_of_frame(next(_frames(container, video), None)) if stated else None
        elif not is_always_progressive(clip.codec, video.codec_context.extradata):
            flagged = next(filter(None, map(_order_of_frame, _some_frames(container, video))), None)
    if flagged is not None:
        return Fields(flagged, True, number if flagged == stated else _INTERLEAVED[flagged])
    return Fields(stated, False, number) if stated else None


def _some_frames(container: av.container.InputContainer, video: av.video.stream.VideoStream) -> Iterator[av.VideoFrame]:
    """The first frame, and one after a seek to each of some places; containers that cannot seek give fewer."""
    video.thread_type = "SLICE"  # frame threads would decode further frames in vain
    yield from _first(container, video)
    length = container.duration or 0
    for place in range(_PLACES if length else 0):
        try:
            container.seek((container.start_time or 0) + length * (2 * place + 1) // (2 * _PLACES))
        except av.FFmpegError:
            return
        yield from _first(container, video)


def _first(container: av.container.InputContainer, video: av.video.stream.VideoStream) -> list[av.VideoFrame]:
    frame = next(_frames(container, video), None)
    return [] if frame is None else [frame]


def _frames(container: av.container.InputContainer, video: av.video.stream.VideoStream) -> Iterator[av.VideoFrame]:
    with ended(container.demux(video)) as packets:
        for packet in packets:
            try:
                yield from packet.decode()
            except av.FFmpegError:  # the analysis counts and reports them
                continue


def _order_of_frame(frame: av.VideoFrame | None) -> str | None:
    """The field order that the flags of ``frame`` state; PyAV shows only one of the two flags, so a filter reads the other."""
    if frame is None or not frame.interlaced_frame:
        return None
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    choice = graph.add("select", "eq(interlace_type,TOPFIRST)")
    sink = graph.add("buffersink")
    source.link_to(choice)
    choice.link_to(sink)
    graph.configure()
    graph.push(frame)
    try:
        graph.pull()
    except (BlockingIOError, EOFError):
        return BOTTOM_FIRST
    return TOP_FIRST
