"""What is known of one frame: its time, its map, its segment of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.plan.roi import RoiPlan


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a clip, as the track and the plan see it; lives on the host."""

    frame: int
    seconds: float
    """From the first frame."""
    sample: int
    """Number of the map that is nearest, never across a cut."""
    samples: int
    segment: int
    segments: int
    saliency: NDArray[np.uint8]
    """``[rows, cols]``, 0..255 stands for 0..1."""
    effective: NDArray[np.float32]
    """``[rows, cols]``, QP offset with what recentres it; negative is better quality."""

    @property
    def mean_saliency(self) -> float:
        return float(self.saliency.mean() / 255)

    def clock(self) -> str:
        """Minutes, seconds and hundredths."""
        minutes, seconds = divmod(round(self.seconds * 100), 6000)
        return f"{minutes}:{seconds / 100:05.2f}"


class Timeline:
    """Finds the `Moment` of any frame of a clip. Frames beyond what the track knows get its last map and segment."""

    def __init__(self, track: SaliencyTrack, plan: RoiPlan, frame_rate: Fraction, first_frame: int = 0) -> None:
        """``first_frame`` is the number of the track's first frame, where what came before it has been forgotten."""
        self._track, self._plan, self._frame_rate, self._first_frame = track, plan, frame_rate, first_frame
        self._starts = track.sample_starts()

    def at(self, number: int) -> Moment:
        track, plan = self._track, self._plan
        frame = max(0, number - self._first_frame)
        sample = int(np.searchsorted(self._starts, frame, side="right")) - 1
        segment = plan.segment_of(min(frame, plan.frame_count - 1))
        if track.frame_pts is not None and frame < len(track.frame_pts):
            seconds = float(int(track.frame_pts[frame] - track.frame_pts[0]) * track.time_base)
        else:
            seconds = float(number / self._frame_rate)
        return Moment(
            frame=number,
            seconds=seconds,
            sample=sample,
            samples=len(self._starts),
            segment=segment,
            segments=len(plan.segment_start),
            saliency=track.saliency[sample],
            effective=plan.effective(segment),
        )
