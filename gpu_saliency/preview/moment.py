"""`Moment`: the data of one frame for display, that is, its time, its map and its segment of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.plan.roi import RoiPlan


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a clip with its map and QP offsets, in host memory. Produced by `MomentLookup`."""

    frame: int
    seconds: float
    """Time since the first frame."""
    sample: int
    """Number of the map that applies to the frame: the nearest in time of the same scene."""
    samples: int
    segment: int
    segments: int
    saliency: NDArray[np.uint8]
    """``[rows, cols]``, the map; 0..255 encodes 0..1."""
    effective: NDArray[np.float32]
    """``[rows, cols]``, effective offsets in QP; negative is better quality."""

    @property
    def mean_saliency(self) -> float:
        return float(self.saliency.mean() / 255)

    def clock(self) -> str:
        """The frame's time as text: M:SS.hh."""
        minutes, seconds = divmod(round(self.seconds * 100), 6000)
        return f"{minutes}:{seconds / 100:05.2f}"

    def status(self) -> list[str]:
        """Three short lines of text about the frame: its number and time, its map and segment, its saliency and offsets."""
        low, high = float(self.effective.min()), float(self.effective.max())
        return [
            f"frame {self.frame}  {self.clock()}",
            f"map {self.sample + 1} of {self.samples}  segment {self.segment + 1} of {self.segments}",
            f"mean saliency {self.mean_saliency:.2f}  QP {low:+.1f} to {high:+.1f}",
        ]


class MomentLookup:
    """Finds the `Moment` of any frame of a clip. Frames after the end of the track take its last map and segment."""

    def __init__(self, track: SaliencyTrack, plan: RoiPlan, frame_rate: Fraction, first_frame: int = 0) -> None:
        """``first_frame`` is the number of the track's first frame; it is above 0 if a live source has dropped older frames."""
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
