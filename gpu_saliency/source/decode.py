"""Decodes a clip on the CPU to batches of small R'G'B' pictures; libswscale shrinks and converts in one pass.

No full-resolution frame is converted to R'G'B' or to float: swscale reads the decoder's planes and writes the small picture.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, islice
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.packets import PacketReader
from gpu_saliency.source.sampling import FrameChoice
from gpu_saliency.source.scenes import SceneMeter
from gpu_saliency.source.shortfall import Extent, Shortfall, find_shortfall
from gpu_saliency.source.shrink import Shrinker
from gpu_saliency.source.span import Span
from gpu_saliency.source.stamps import rising_stamps

GRID_TOLERANCE = 0.0015
"""Seconds by which a time stamp may differ from a constant frame rate. Millisecond time stamps are rounded by up to 0.5 ms."""


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Shrunk samples in host memory. Produced by `decode_batches`, consumed by the CPU's analysis."""

    index: NDArray[np.int64]
    """``[N]``, frame number of each sample in presentation order, from 0."""
    rgb: NDArray[np.uint8]
    """``[N, h, w, 3]``, full-range R'G'B', upright."""


@dataclass(slots=True)
class DecodeTally:
    """Counts and time stamps of the frames decoded so far; `decode_frames` fills it."""

    frames: int = 0
    variable_frame_rate: bool = False
    """Whether a time stamp differs from the clip's average rate by more than `GRID_TOLERANCE`."""
    time_base: Fraction = Fraction(1)
    """Unit of ``pts``, in seconds."""
    pts: array[int] = field(default_factory=lambda: array("q"))
    """Time stamps of the frames so far, in ``time_base``; fewer than ``frames`` where frames have no time stamp."""
    dts: array[int] = field(default_factory=lambda: array("q"))
    """Decode times of the packets read so far, in ``time_base``; only of those that have one."""
    dts_before: int = 0
    """How many of these belong to frames before a clip with a start whose frames are told by number."""
    scene: SceneMeter = field(default_factory=SceneMeter)
    damage: Damage = field(default_factory=Damage)
    extent: Extent = field(default_factory=Extent)
    restarts: int = 0
    """Restarts of the clock, which the stamps in ``pts`` continue."""
    key_frames: int | None = None
    """Key frames that were decoded, where the packets of the others were only read; ``None`` where all frames were decoded."""
    sizes: dict[tuple[int, int, str], None] = field(default_factory=dict)
    """Width, height and pixel format of the frames, in the order in which they first came."""

    def stamps(self) -> tuple[NDArray[np.int64] | None, str]:
        """Time stamps ``[frames]`` in ``time_base``, strictly rising, and where they come from, one of `CLOCKS`."""
        pts, dts = np.array(self.pts, np.int64), np.array(self.dts, np.int64)
        if self.dts_before:
            dts = dts[self.dts_before :][: self.frames]
        return rising_stamps(pts, dts, self.frames, restarted=self.restarts > 0)

    def formats(self) -> tuple[str, ...]:
        """Size and pixel format of the frames, a text for each that occurs, in order; the first is that of the first frame."""
        return tuple(f"{width}x{height} {pix_fmt}" for width, height, pix_fmt in self.sizes)

    def shortfall(self, clip: Clip) -> Shortfall | None:
        """Why ``clip`` is incomplete or damaged; ``None`` if nothing shows that. Walks the structure of its file."""
        pts = self.stamps()[0]
        seconds = None if pts is None else pts * float(self.time_base)
        found = find_shortfall(clip, self.frames, self.extent, self.damage, seconds)
        return found if found is None or self.key_frames is None else found.of_key_frames(self.key_frames)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How a pass over the clip decodes. A later attempt skips the frames that earlier ones have delivered."""

    strict: bool = True
    """Whether the decoder refuses a damaged packet that it would otherwise conceal without a word."""
    threads: bool = True
    """Whether several threads decode. Without them no frame is lost when an error comes while the decoder is emptied."""
    skips: bool = True
    """Whether decoding begins at the key frame before the clip's start; else at the beginning of the file."""


_MOST_DELAY = 64
"""More packets without a frame than threads and reordering explain: the stream has packets that are no frames, such as fields."""


def decode_frames(clip: Clip, tally: DecodeTally) -> Iterator[av.VideoFrame]:
    """Yield the frames of ``clip`` in presentation order, from its start up to its duration, and count them in ``tally``.

    libavcodec decodes in several threads. A packet that cannot be decoded is counted and skipped, and an error of the demuxer ends
    the clip, as in players and ffmpeg. Raises `SourceError` if no frame can be decoded.
    """
    attempt: _Attempt | None = _Attempt()
    while attempt is not None:
        attempt = yield from _decode(clip, tally, attempt)
    if tally.frames == 0:
        raise SourceError(f"{clip.path}: no frame can be decoded", cure="give an intact file")


def _decode(clip: Clip, tally: DecodeTally, attempt: _Attempt) -> Generator[av.VideoFrame, None, _Attempt | None]:
    """Yield the frames after those that ``tally`` counts. Returns the attempt that may find more, ``None`` at the clip's end."""
    tally.damage = damage = Damage(concealed=tally.damage.concealed)
    delivered, number, used = tally.frames, 0, 0
    start = tally.pts[0] if tally.pts else None
    span = clip.span
    skip = 0 if span is None or not attempt.skips else span.packets_before
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        reader = PacketReader(container, video, damage, numbered=True)
        tally.dts, tally.dts_before = reader.dts, 0 if span is None else span.frames_before
        video.thread_type = "AUTO" if attempt.threads else "NONE"
        if attempt.strict:
            video.codec_context.options = {"err_detect": "crccheck+explode"}
        tally.time_base = video.time_base or Fraction(1)
        sent = lag = 0
        lossless = True
        packets = reader.read() if span is None or not skip else _from_key_frame(reader, span)
        for packet in chain(packets, (None,)):
            lag = max(lag, sent - number - reader.hidden) if packet is not None else lag
            try:
                frames = video.codec_context.decode(packet)
            except av.FFmpegError:
                if skip and not used:
                    return replace(attempt, skips=False)
                if attempt.strict:
                    damage.concealed = True
                    return replace(attempt, strict=False)
                damage.failed_packets += packet is not None
                lossless = packet is not None
                continue
            sent += packet is not None
            for frame in frames:
                number += 1
                if span is not None and span.is_before(frame.pts, number - 1):
                    continue
                if skip and not used and frame.pts != span.first:  # type: ignore[union-attr]
                    return replace(attempt, skips=False)
                used += 1
                damage.frames += frame.is_corrupt
                if used <= delivered:
                    continue
                start = frame.pts if start is None else start
                seconds = None if frame.pts is None or start is None else float((frame.pts - start) * tally.time_base)
                if _is_after(clip, frame.pts, number - 1, seconds):
                    tally.extent = reader.extent(reached_duration=True)
                    return None
                tally.restarts = reader.restarts
                if span is not None and reader.restarts:
                    raise SourceError(f"{clip.path}: its clock restarts", cure="remux it with ffmpeg to Matroska first")
                _count(tally, clip, frame, seconds)
                yield frame
        if skip and not used:
            return replace(attempt, skips=False)
        tally.extent = reader.extent()
        is_complete = lossless and (number >= sent - reader.hidden or lag > _MOST_DELAY)
        return None if is_complete or not attempt.threads else replace(attempt, threads=False)


def _is_after(clip: Clip, pts: int | None, number: int, seconds: float | None) -> bool:
    """Whether the frame ``number`` of the file is shown after the clip; ``seconds`` is its time after the clip's first one."""
    if clip.span is not None:
        return clip.span.is_after(pts, number)
    return bool(clip.duration) and seconds is not None and seconds >= clip.duration


def _from_key_frame(reader: PacketReader, span: Span) -> Iterator[av.Packet[Any]]:
    """Yield the packets of ``reader`` from the key frame of ``span`` on that are decoded for it; the others are only read.

    Pictures that are stored after the key frame and shown before it (the leading pictures of an open GOP) refer to pictures that
    are not decoded, and no later picture refers to them.
    """
    leading = True
    for packet in islice(reader.read(), span.packets_before, None):
        leading &= not packet.is_keyframe or packet.pts == span.key
        if leading and span.is_leading(packet.pts):
            continue
        yield packet


def _count(tally: DecodeTally, clip: Clip, frame: av.VideoFrame, seconds: float | None) -> None:
    """Count ``frame``, which is shown ``seconds`` after the first one; ``None`` where it has no time stamp."""
    if frame.pts is not None and clip.given_rate is None:
        tally.pts.append(frame.pts)
    if seconds is not None:
        tally.variable_frame_rate |= abs(seconds - tally.frames / clip.frame_rate) > GRID_TOLERANCE
    tally.sizes[frame.width, frame.height, frame.format.name] = None
    tally.scene.add(frame)
    tally.frames += 1


def decode_batches(
    clip: Clip, sampling: FrameChoice, size: tuple[int, int], batch_size: int, tally: DecodeTally
) -> Iterator[FrameBatch]:
    """Yield batches of the samples of ``clip``, shrunk to ``size`` (width, height in pixels, upright).

    A clip that is too short for a sample gives its last frame, so there is always at least one sample.
    """
    shrink = Shrinker(size, clip.orientation)
    wanted = sampling.indices()
    next_wanted = next(wanted)
    index: list[int] = []
    pictures: list[NDArray[np.uint8]] = []
    sampled_any = False
    last: av.VideoFrame | None = None
    for number, frame in enumerate(decode_frames(clip, tally)):
        last = frame
        if number < next_wanted:
            continue
        next_wanted = next(wanted)
        sampled_any = True
        index.append(number)
        pictures.append(shrink(frame))
        if len(index) == batch_size:
            yield FrameBatch(np.array(index, np.int64), np.stack(pictures))
            index, pictures = [], []
    if not sampled_any and last is not None:
        index, pictures = [tally.frames - 1], [shrink(last)]
    if index:
        yield FrameBatch(np.array(index, np.int64), np.stack(pictures))
