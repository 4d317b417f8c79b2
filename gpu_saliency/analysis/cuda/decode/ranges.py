"""Divides a clip at key frames into ranges, exact to the frame, which several decoders decode in parallel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.container
import av.video.stream
import numpy as np

from gpu_saliency.analysis.cuda.decode.index import FrameIndex
from gpu_saliency.errors import SourceError, setting
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of

_CHECKS = 8
"""Ranges whose first frames are decoded at once; it delays the start of the analysis."""
INDEXED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
"""Containers with an index, in which a seek to a key frame that was read once finds it again."""
Container = av.container.InputContainer
VideoStream = av.video.stream.VideoStream
CPU_CURE = f"give {setting('decoders', 'cpu')} or {setting('device', 'cpu')}"


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Frames ``[start, end)`` of a clip. Decoding begins at ``start``, which is a key frame or the first frame."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"frames {self.start} to {self.end}")


def split_ranges(index: FrameIndex, count: int) -> list[FrameRange]:
    """Divide all frames into ``count`` ranges of about equal length, beginning at key frames; fewer if key frames are few."""
    return ranges_from(index, [index.frame_count * i / count for i in range(1, count)])


def ranges_from(index: FrameIndex, wanted: Sequence[float]) -> list[FrameRange]:
    """Divide all frames into ranges that begin at the key frames next to the frames ``wanted``; fewer if key frames are few."""
    edges = {0, index.frame_count}
    for start in wanted:
        after = int(np.searchsorted(index.keys, start))
        edges.add(min(index.keys[max(0, after - 1) : after + 1].tolist(), key=lambda key: abs(key - start)))
    cuts = sorted(edges)
    return [FrameRange(start, end) for start, end in itertools.pairwise(cuts)]


def checked_ranges(clip: Clip, index: FrameIndex, wanted: Sequence[FrameRange]) -> list[FrameRange]:
    """Return the ranges ``wanted`` of the whole clip, each joined to the one before if decoding cannot begin at its first frame.

    A stream with periodic intra refresh (x264's ``intra-refresh``) flags key frames at which the picture is still incomplete; a
    hardware decoder would deliver incomplete pictures. So the CPU decodes the first frame of each range to check it, unless the
    type of its picture says enough and the container has an index, which leads to that picture.
    """
    ranges: list[FrameRange] = []
    certain = index.certain if clip.container in INDEXED else frozenset()
    unsure = [one for one in wanted[1:] if one.start not in certain]
    with ThreadPoolExecutor(_CHECKS) as pool:
        checked = dict(zip(unsure, pool.map(lambda one: _begins(clip, index, one), unsure), strict=True))
    begins = [checked.get(one, True) for one in wanted]
    for frame_range, is_whole in zip(wanted, begins, strict=True):
        if not is_whole:
            ranges[-1] = FrameRange(ranges[-1].start, frame_range.end)
        else:
            ranges.append(frame_range)
    return ranges


def _begins(clip: Clip, index: FrameIndex, frame_range: FrameRange) -> bool:
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        try:
            next(range_packets(container, video, index, frame_range))
            if frame_range.start in index.certain:
                return True
            _, frame = next(decode_range(container, video, index, frame_range))
        except SourceError:
            return False
        return not frame.is_corrupt


def range_packets(container: Container, video: VideoStream, index: FrameIndex, frame_range: FrameRange) -> Iterator[av.Packet[Any]]:
    """Yield the packets of the frames of ``frame_range``, from its key frame on, in decode order.

    They include references of later frames, but not the leading pictures of the key frame: only a decoder that began earlier can
    decode them, and NVDEC labels the key frame with the time stamp of one of them (seen on an H200: HEVC with RASL pictures after a
    CRA picture). After the last packet the decoder must be flushed to deliver the remaining frames. Raises `SourceError`.
    """
    first, last = int(index.pts[frame_range.start]), int(index.pts[frame_range.end - 1])
    left = frame_range.end - frame_range.start
    for packet in _from_key(container, video, None if frame_range.start == 0 else first):
        is_leading = frame_range.start > 0 and packet.pts is not None and packet.pts < first
        if not packet.size or is_leading:
            continue
        # The packet is counted before the yield, because a bitstream filter consumes it.
        left -= packet.pts is not None and first <= packet.pts <= last and packet.pts not in index.hidden
        yield packet
        if left == 0:
            return
    raise SourceError(f"{container.name.removeprefix('file:')}: changed while it was read", cure="try again")


def _from_key(container: Container, video: VideoStream, key: int | None) -> Iterator[av.Packet[Any]]:
    """Yield packets from the key frame with time stamp ``key`` on (``None``: from the first packet).

    A seek that lands after the key frame is repeated with an earlier target.
    """
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
                break  # the seek landed too late
            if packet.is_keyframe and packet.pts == key:
                yield packet
                yield from packets
                return
    raise SourceError(f"{container.name.removeprefix('file:')}: cannot seek to its key frame at time stamp {key}", cure=CPU_CURE)


def decode_range(
    container: Container, video: VideoStream, index: FrameIndex, frame_range: FrameRange
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield all frames of ``frame_range`` in order with their numbers, decoded by libavcodec.

    Raises `SourceError` if a frame is missing.
    """
    expected = frame_range.start
    for frame in _decoded(container, video, index, frame_range):
        number = None
        if frame.pts is not None and frame.pts >= index.pts[frame_range.start]:
            try:
                number = index.number_of(frame.pts)
            except KeyError:
                raise missing_frame(container.name, expected) from None
        if number is None or number >= frame_range.end:
            continue
        if number != expected:
            raise missing_frame(container.name, expected)
        expected += 1
        yield number, frame
    if expected != frame_range.end:
        raise missing_frame(container.name, expected)


def _decoded(container: Container, video: VideoStream, index: FrameIndex, frame_range: FrameRange) -> Iterator[av.VideoFrame]:
    for packet in range_packets(container, video, index, frame_range):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue  # a missing frame of the range is detected by the numbers
    yield from video.codec_context.decode(None)


def missing_frame(name: str, number: int) -> SourceError:
    """Build the error for a frame that is in the file but that the decoder did not deliver."""
    return SourceError(
        f"{name.removeprefix('file:')}: the decoder did not deliver frame {number}; the file may be damaged there",
        cure=f"{CPU_CURE}, which skip damaged packets",
    )


def nvdec_failure(path: Path, reason: str) -> SourceError:
    """Build the error for a clip that NVDEC fails to decode."""
    return SourceError(f"{path}: NVDEC failed: {reason}", cure=CPU_CURE)
