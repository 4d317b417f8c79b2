"""Computes the time stamps of the joined video: the source's presentation times, and decode times that rise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import av.container
import av.stream
import av.video.stream
import numpy as np
from numpy.typing import NDArray

MICROSECOND = Fraction(1, av.time_base)
# AVFMT_TS_DISCONT of libavformat; PyAV's stubs give its own name for it no usable type.
_STAMPS_MAY_JUMP = 0x0200
_TICKS = 90000
"""Least ticks per second of the time base of frames at a constant rate, as in MPEG."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """The time stamps and durations of the joined video, in units of ``time_base``; each array is ``[N]`` int64."""

    time_base: Fraction
    pts: NDArray[np.int64]
    """Presentation times, in presentation order."""
    duration: NDArray[np.int64]
    """Durations, in presentation order."""
    dts: NDArray[np.int64]
    """Decode times, in decode order."""

    @classmethod
    def of(cls, order: NDArray[np.int64], stamps: NDArray[np.int64], time_base: Fraction, last: int | None) -> Stamps:
        """Compute the stamps from those of the source.

        ``order`` ``[N]`` is the presentation number of each packet in decode order; ``stamps`` ``[N or more]`` are the source's
        presentation times, rising; ``last`` is the duration of the last frame (``None``: the median).
        """
        count = len(order)
        pts = stamps[:count]
        gaps = np.diff(stamps[: count + 1])
        if len(gaps) < count:
            usual = int(np.median(gaps)) if len(gaps) else 1
            gaps = np.append(gaps, np.int64(last or max(1, usual)))
        # Every packet is decoded earlier by the deepest reordering; with a smaller lead dts would not rise.
        delay = int((np.arange(count) - order).max())
        lead = pts[0] - gaps[0] * np.arange(delay, 0, -1)
        return cls(time_base, pts, gaps, np.concatenate([lead, pts])[:count])

    @classmethod
    def at_rate(cls, order: NDArray[np.int64], first: Fraction, rate: Fraction) -> Stamps:
        """The stamps of frames that follow each other at ``rate`` from ``first`` seconds on; ``order`` as in `of`.

        The time base divides the distance of two frames, so that it is the same everywhere.
        """
        finer = -(-_TICKS // rate.numerator)
        unit, step = Fraction(1, rate.numerator * finer), rate.denominator * finer
        return cls.of(order, round(first / unit) + np.arange(len(order), dtype=np.int64) * step, unit, step)


def last_duration(video: av.video.stream.VideoStream, frame_pts: NDArray[np.int64], time_base: Fraction) -> int | None:
    """Duration of the source's last frame in units of ``time_base``; ``None`` where the container does not state a usable one."""
    if video.duration is None or video.start_time is None or not video.time_base or not len(frame_pts):
        return None
    rest = rescale(video.start_time + video.duration, video.time_base, time_base) - int(frame_pts[-1])
    # A declared end that does not belong to these frames (a cut, a damaged header) is not used.
    longest = int(np.diff(frame_pts).max()) if len(frame_pts) > 1 else rest
    return rest if 0 < rest <= 2 * longest else None


def start_time(source: av.container.InputContainer, used: Sequence[av.stream.Stream]) -> int:
    """Microseconds that ffmpeg subtracts from all time stamps of ``source``."""
    if source.format.flags & _STAMPS_MAY_JUMP:  # MPEG-TS: ffmpeg then considers only the streams that it uses
        starts = [rescale(s.start_time, s.time_base, MICROSECOND) for s in used if s.start_time is not None and s.time_base]
        return min(starts, default=0)
    return source.start_time or 0


def rescale(value: int, unit: Fraction, to: Fraction) -> int:
    """Convert ``value`` from units of ``unit`` seconds to units of ``to`` seconds; halves round away from zero, as in libavutil."""
    exact = abs(value) * unit / to
    whole = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    return whole if value >= 0 else -whole
