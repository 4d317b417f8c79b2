"""One clip cut at key frames into ranges that are decoded side by side; which frame belongs to which is exact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.container
import av.video.stream

from gpu_saliency.analysis.cuda.decode.index import Timeline
from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of

Container = av.container.InputContainer
VideoStream = av.video.stream.VideoStream


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Frames ``[start, end)`` of a clip. Decoding begins at ``start``, which is a key frame or the first frame."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"frames {self.start} to {self.end}")


def split_ranges(timeline: Timeline, count: int) -> list[FrameRange]:
    """``count`` ranges as even as the key frames allow, together all frames; fewer where there are fewer key frames."""
    frames = timeline.frame_count
    edges = {0, frames}
    for i in range(1, count):
        wanted = frames * i / count
        edges.add(min((int(key) for key in timeline.keys), key=lambda key: abs(key - wanted)))
    cuts = sorted(edges)
    return [FrameRange(start, end) for start, end in itertools.pairwise(cuts)]


def checked_ranges(clip: Clip, timeline: Timeline, count: int) -> list[FrameRange]:
    """`split_ranges`, less the cuts at which the CPU's decoder does not at once deliver the very frame.

    A stream that is refreshed in stripes (x264's ``intra-refresh``) flags key frames from which the picture only builds up; a
    hardware decoder would deliver what is half built.
    """
    ranges: list[FrameRange] = []
    for part in split_ranges(timeline, count):
        if ranges and not _begins(clip, timeline, part):
            ranges[-1] = FrameRange(ranges[-1].start, part.end)
        else:
            ranges.append(part)
    return ranges


def _begins(clip: Clip, timeline: Timeline, part: FrameRange) -> bool:
    with open_clip(clip) as container:
        try:
            _, frame = next(decode_range(container, video_stream_of(container), timeline, part))
        except SourceError:
            return False
        return not frame.is_corrupt


def range_packets(container: Container, video: VideoStream, timeline: Timeline, part: FrameRange) -> Iterator[av.Packet[Any]]:
    """The packets that decode to the frames of ``part``, from its key frame on, in the order of decoding.

    They decode to other frames too: leading pictures of the key frame, and what later ones refer to. Ends with the packet after
    which all frames of ``part`` have been given, so that flushing the decoder then brings them out. Raises `SourceError`.
    """
    first, last = int(timeline.pts[part.start]), int(timeline.pts[part.end - 1])
    left = part.end - part.start
    for packet in _from_key(container, video, None if part.start == 0 else first):
        if not packet.size:
            continue
        # Looked at first: a bitstream filter takes the packet away.
        left -= packet.pts is not None and first <= packet.pts <= last and packet.pts not in timeline.hidden
        yield packet
        if left == 0:
            return
    raise SourceError(f"{container.name.removeprefix('file:')}: has changed while it was read")


def _from_key(container: Container, video: VideoStream, key: int | None) -> Iterator[av.Packet[Any]]:
    """From the key frame with time stamp ``key``; ``None`` for the first packet. Where seeking lands late, again, earlier."""
    if key is None:
        yield from container.demux(video)
        return
    start = video.start_time or 0
    second = max(1, round(1 / video.time_base)) if video.time_base else 1
    for back in (0, 2, 10, 60, None):
        target = start if back is None else max(start, key - back * second)
        container.seek(target, stream=video, backward=True)
        packets = container.demux(video)
        for packet in packets:
            if not packet.size or (packet.is_keyframe and packet.pts is not None and packet.pts > key):
                break  # past it
            if packet.is_keyframe and packet.pts == key:
                yield packet
                yield from packets
                return
    raise SourceError(f"{container.name.removeprefix('file:')}: its key frame at {key} cannot be sought")


def decode_range(
    container: Container, video: VideoStream, timeline: Timeline, part: FrameRange
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames of ``part`` with their numbers, all and in order, by the decoder that ``container`` was opened with.

    Raises `SourceError` where one is missing.
    """
    expected = part.start
    for frame in _decoded(container, video, timeline, part):
        number = None
        if frame.pts is not None and frame.pts >= timeline.pts[part.start]:
            try:
                number = timeline.number_of(frame.pts)
            except KeyError:
                raise missing_frame(container.name, expected) from None
        if number is None or number >= part.end:
            continue
        if number != expected:
            raise missing_frame(container.name, expected)
        expected += 1
        yield number, frame
    if expected != part.end:
        raise missing_frame(container.name, expected)


def _decoded(container: Container, video: VideoStream, timeline: Timeline, part: FrameRange) -> Iterator[av.VideoFrame]:
    for packet in range_packets(container, video, timeline, part):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue  # a leading picture without its reference; a frame that is wanted will be missed
    yield from video.codec_context.decode(None)


def missing_frame(name: str, number: int) -> SourceError:
    """The error of a decoder that did not deliver what the packets promise."""
    return SourceError(
        f"{name.removeprefix('file:')}: the decoder did not deliver frame {number}; the file may be damaged there",
        cure="--decoders cpu passes over damage, and so does --device cpu",
    )
