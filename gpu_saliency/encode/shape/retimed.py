"""`Retimed`: which frame of the source each frame of an output of another rate shows, by the rule of ffmpeg's filter ``fps``.

The filter rounds the time of each source frame to a whole tick of the output's rate, halves away from zero
(libavfilter/vf_fps.c, ``round=near``); a tick shows the last source frame of which the rounded time is not after it. The numbers of
both sides are computed here too, since plan, parts and proof need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip

_LARGEST = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Retimed:
    """The frames of an output at ``rate``."""

    rate: Fraction
    tick: NDArray[np.int64]
    """``[source frames]``, the first output frame that shows each source frame, or would; rising, with repetitions."""
    frame_count: int
    """Number of output frames."""
    pts: NDArray[np.int64] | None
    """``[source frames]``, the source's time stamps by which the filter tells the time; ``None``: by the number of the frame."""
    unit: Fraction
    """Seconds of a step of ``pts``, or between two source frames."""

    @property
    def tells_frames(self) -> bool:
        """Whether the time stamps tell each frame of the file: stamps that are a step apart may stand for equal ones."""
        return self.pts is not None and (len(self.pts) < 2 or int(np.diff(self.pts).min()) > 1)

    def source_of(self, frame: int) -> int:
        """The number of the source frame that output ``frame`` shows."""
        return int(np.searchsorted(self.tick, frame, side="right")) - 1

    def first_of(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first output frame of each of the source ``frames``; `frame_count` for those that are not shown."""
        return np.minimum(self.tick[frames], self.frame_count)

    def filters(self, start: int, end: int) -> str:
        """The filters that make the output frames ``[start, end)`` from source frames ``[source_of(start), source_of(end - 1)]``.

        The source frames come with the source's time stamps, or without usable ones.
        """
        first, last = self.source_of(start), self.source_of(end - 1)
        clock = f"settb=expr={self.unit}," + (f"setpts=N+{first}" if self.pts is None else f"setpts=PTS-{self.pts[0]}")
        before = int(self.tick[first])
        # The first tpad keeps the last frame where the filter would end before its tick; the second repeats it to the end.
        pad = f"tpad=stop={end - int(self.tick[last])}:stop_mode=clone"
        steps = f"tpad=stop=1:stop_mode=clone,fps=fps={self.rate},{pad}"
        return f"{clock},{steps},trim=start_frame={start - before}:end_frame={end - before}"


def retime(
    clip: Clip, rate: Fraction, frames: int, pts: NDArray[np.int64] | None, unit: Fraction, *, is_file_time: bool
) -> Retimed:
    """Find the frames of an output of ``clip`` at ``rate``; the source has ``frames`` with the time stamps ``pts`` in ``unit``.

    ``is_file_time`` is whether the stamps stand in the file, so that ffmpeg sees them too. Without them frames are told by number,
    at the clip's rate. Raises `SourceError` where that would move frames.
    """
    if pts is not None and not is_file_time:
        off = np.abs((pts - pts[0]) * float(unit) - np.arange(frames) / float(clip.frame_rate)).max()
        if off * float(clip.frame_rate) > 1:
            problem = "its time stamps do not rise in the file, and its frame rate varies, so it cannot be brought to another rate"
            raise SourceError(f"{clip.path}: {problem}", cure="remux it with ffmpeg -i FILE -c copy OTHER.mkv first")
        pts = None
    if pts is None:
        unit = 1 / clip.frame_rate
        times = np.arange(frames + 1, dtype=np.int64)
    else:
        gaps = np.diff(pts)
        usual = int(np.median(gaps)) if len(gaps) else max(1, round(1 / clip.frame_rate / unit))
        times = np.append(pts - pts[0], pts[-1] - pts[0] + usual)
    ticks = _rounded(times, unit * rate)
    return Retimed(rate, ticks[:-1], max(1, int(ticks[-1])), pts, unit)


def _rounded(values: NDArray[np.int64], factor: Fraction) -> NDArray[np.int64]:
    """``values``, 0 or more, times ``factor``, rounded; halves up."""
    up, down = factor.numerator, factor.denominator
    if int(values.max()) * 2 * up + down > _LARGEST:
        return np.array([(2 * int(value) * up + down) // (2 * down) for value in values], np.int64)
    return np.asarray((2 * values * up + down) // (2 * down), np.int64)
