"""Decodes the key frames of a clip alone, for an overview or a cheap plan; the packets of the other frames are only read.

The time axis comes from the packets. So this takes clips of which each packet is a frame with a time stamp, and refuses others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import av
import numpy as np
from av.codec.context import ThreadType
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError, UsageError
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.decode import GRID_TOLERANCE, DecodeTally, FrameBatch
from gpu_saliency.source.packets import PacketReader
from gpu_saliency.source.sampling import KEYFRAME, Sampling
from gpu_saliency.source.shrink import Shrinker

LEAST_KEY_FRAMES = 2
"""Fewer give one map for the whole clip."""
_PROBED = 48
"""Packets at the beginning that are decoded, to see whether each is a frame."""
_SHOWN_VP8 = 0x10
"""The bit ``show_frame`` in the first byte of a frame of VP8 (RFC 6386, 9.1); the others of its packets are hidden references."""


def key_frame_batches(
    clip: Clip, sampling: Sampling, size: tuple[int, int], batch_size: int, tally: DecodeTally
) -> Iterator[FrameBatch]:
    """Yield batches of the key frames of ``clip``, shrunk to ``size`` (width, height in pixels, upright); fills ``tally``.

    A key frame nearer than ``sampling.step`` frames to the one before is left out. Raises `UsageError` for a clip that has fewer
    than `LEAST_KEY_FRAMES`, or of which the frames cannot be counted by packets, and `SourceError` if no key frame can be decoded.
    """
    _check_packets(clip)
    tally.key_frames = 0
    numbers: list[int] = []
    pictures: list[NDArray[np.uint8]] = []
    for number, picture in _samples(clip, sampling, Shrinker(size, clip.orientation), tally):
        tally.key_frames += 1
        numbers.append(number)
        pictures.append(picture)
        if len(numbers) == batch_size:
            yield FrameBatch(np.array(numbers, np.int64), np.stack(pictures))
            numbers, pictures = [], []
    if not tally.key_frames:
        raise SourceError(f"{clip.path}: no key frame can be decoded", cure="give an intact file")
    if tally.key_frames < LEAST_KEY_FRAMES:
        raise _refused(clip, f"has one key frame in {tally.frames} frames, so one map would stand for all of it")
    tally.variable_frame_rate = _is_variable(clip, tally)
    if numbers:
        yield FrameBatch(np.array(numbers, np.int64), np.stack(pictures))


@dataclass(slots=True)
class _Axis:
    """The time stamps of the frames read so far, those of a range of the clip."""

    tally: DecodeTally
    low: int | None
    end: int | None
    later: list[int] = field(default_factory=list)
    """Of frames that may be shown after some that were not read yet."""

    def has(self, pts: int) -> bool:
        return (self.low is None or pts >= self.low) and (self.end is None or pts < self.end)

    def settle(self, pts: int) -> int:
        """Move the stamps up to ``pts`` to the tally; returns the number of the frame with that stamp."""
        self.later.sort()
        ready = bisect_right(self.later, pts)
        self.tally.pts.extend(self.later[:ready])
        del self.later[:ready]
        self.tally.frames += ready
        return self.tally.frames - 1


def _samples(clip: Clip, sampling: Sampling, shrink: Shrinker, tally: DecodeTally) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield number and picture of each chosen key frame, when all frames that are shown before it were read."""
    span = clip.span
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        context = video.codec_context
        context.thread_type, context.skip_frame = ThreadType.SLICE, "NONKEY"
        context.options = {"err_detect": "crccheck+explode"}
        tally.time_base = unit = video.time_base or tally.time_base
        reader = PacketReader(container, video, tally.damage, numbered=True)
        tally.dts = reader.dts
        axis = _Axis(tally, None if span is None else span.low, None if span is None else span.end)
        apart = float((sampling.step - 1 / 2) / clip.frame_rate / unit)
        held: tuple[int, NDArray[np.uint8]] | None = None
        last: int | None = None
        for packet in reader.read():
            pts = packet.pts
            if pts is None:
                raise _refused(clip, "has frames without a time stamp")
            if last is None and not axis.later:
                axis.end = axis.end if span is not None or not clip.duration else pts + round(clip.duration / unit)
            if axis.end is not None and packet.dts is not None and packet.dts >= axis.end:
                tally.extent = reader.extent(reached_duration=True)
                break
            if packet.is_discard or _is_hidden(clip, packet) or not axis.has(pts):
                continue
            if packet.is_keyframe and (last is None or pts - last >= apart):
                picture = _decoded(context, packet, shrink, tally)
                if picture is not None:
                    if held is not None:
                        # Pictures that are stored after a key frame and shown before it come before the next key frame.
                        yield axis.settle(held[0]), held[1]
                    held, last = (pts, picture), pts
            axis.later.append(pts)
        else:
            tally.extent = reader.extent()
        if reader.restarts:
            raise _refused(clip, "has a clock that restarts")
    if held is not None:
        number = axis.settle(held[0])
        axis.settle(max(axis.later, default=held[0]))
        _check_stamps(clip, tally)
        yield number, held[1]


def _decoded(
    context: av.VideoCodecContext, packet: av.Packet[Any], shrink: Shrinker, tally: DecodeTally
) -> NDArray[np.uint8] | None:
    """The picture of a key frame; ``None`` for a damaged one, and for one that was only flagged as a key frame."""
    try:
        frames = [*context.decode(packet), *context.decode(None)]
    except av.FFmpegError:
        tally.damage.failed_packets += 1
        return None
    finally:
        context.flush_buffers()
    for frame in frames:
        tally.damage.frames += frame.is_corrupt
        tally.sizes[frame.width, frame.height, frame.format.name] = None
        return shrink(frame)
    return None


def _is_hidden(clip: Clip, packet: av.Packet[Any]) -> bool:
    return clip.codec == "vp8" and not memoryview(packet)[0] & _SHOWN_VP8


def _check_packets(clip: Clip) -> None:
    """Raise `UsageError` unless the first packets of ``clip`` are frames with the time stamps of these, from a key frame on."""
    if clip.is_raw:
        raise _refused(clip, "is raw video, which has no key frames")
    if clip.span is not None and clip.span.low is None:
        raise _refused(clip, "stores no time stamps")
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        video.thread_type = "AUTO"
        packets = [one for one in islice(PacketReader(container, video, Damage()).read(), _PROBED) if not one.is_discard]
        if packets and not packets[0].is_keyframe:
            raise _refused(clip, "does not begin with a key frame")
        stamps = sorted(one.pts for one in packets if one.pts is not None and not _is_hidden(clip, one))
        try:
            shown = [frame.pts for one in (*packets, None) for frame in video.codec_context.decode(one)]
        except av.FFmpegError:
            return  # a damaged packet, which the log of the encode reports
    if shown != stamps:
        raise _refused(clip, "does not give one frame with its time stamp for each packet: it stores none, or is damaged")


def _check_stamps(clip: Clip, tally: DecodeTally) -> None:
    stamps = np.array(tally.pts, np.int64)
    if np.any(np.diff(stamps) <= 0):
        raise _refused(clip, "has time stamps that do not rise")


def _is_variable(clip: Clip, tally: DecodeTally) -> bool:
    """Whether a time stamp differs from the clip's average rate, as in `decode_frames`."""
    stamps = np.array(tally.pts, np.int64)
    seconds = (stamps - stamps[0]) * float(tally.time_base)
    return bool(np.any(np.abs(seconds - np.arange(len(stamps)) / float(clip.frame_rate)) > GRID_TOLERANCE))


def _refused(clip: Clip, problem: str) -> UsageError:
    cure = "leave it out, or give a number of frames"
    return UsageError(f"{clip.path} {problem}", setting="every", value=KEYFRAME, cure=cure)
