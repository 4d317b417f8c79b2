"""Decodes a clip on the CPU to batches of small R'G'B' pictures; libswscale shrinks and converts in one pass.

No full-resolution frame is converted to R'G'B' or to float: swscale reads the decoder's planes and writes the small picture.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.sampling import FrameChoice
from gpu_saliency.source.scenes import SceneMeter
from gpu_saliency.source.shrink import Shrinker

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
    corrupt_packets: int = 0
    variable_frame_rate: bool = False
    """Whether a time stamp differs from the clip's average rate by more than `GRID_TOLERANCE`."""
    time_base: Fraction = Fraction(1)
    """Unit of ``pts``, in seconds."""
    pts: array[int] = field(default_factory=lambda: array("q"))
    """Time stamps of the frames so far, in ``time_base``; fewer than ``frames`` where frames have no time stamp."""
    scene: SceneMeter = field(default_factory=SceneMeter)

    def frame_pts(self) -> NDArray[np.int64] | None:
        """Time stamps ``[frames]`` in ``time_base``, strictly rising: a repeated one is raised by a tick.

        ``None`` where a time stamp is missing or lower than the one before.
        """
        pts = np.array(self.pts, np.int64)
        if len(pts) != self.frames or np.any(np.diff(pts) < 0):
            return None
        ticks = np.arange(len(pts))
        return np.maximum.accumulate(pts - ticks) + ticks


def decode_frames(clip: Clip, tally: DecodeTally) -> Iterator[av.VideoFrame]:
    """Yield the frames of ``clip`` in presentation order, up to its duration, and count them in ``tally``.

    libavcodec decodes in several threads. A packet that cannot be decoded is counted and skipped, as in players and ffmpeg. Raises
    `SourceError` if no frame can be decoded.
    """
    with open_clip(clip) as container:
        video = video_stream_of(container)
        video.thread_type = "AUTO"
        tally.time_base = video.time_base or Fraction(1)
        start: float | None = None
        for packet in container.demux(video):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                tally.corrupt_packets += 1
                continue
            for frame in frames:
                seconds = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else None
                start = seconds if start is None else start
                if clip.duration and seconds is not None and start is not None and seconds - start >= clip.duration:
                    return
                if seconds is not None and start is not None:
                    off_grid = abs(seconds - start - tally.frames / clip.frame_rate)
                    tally.variable_frame_rate |= off_grid > GRID_TOLERANCE
                if frame.pts is not None:
                    tally.pts.append(frame.pts)
                tally.scene.add(frame)
                tally.frames += 1
                yield frame
    if tally.frames == 0:
        raise SourceError(f"{clip.path}: no frame can be decoded", cure="give an intact file")


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
