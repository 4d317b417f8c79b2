"""`RoiPlan`: the QP offsets of a clip by segment and block."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.track import decode_activity
from gpu_saliency.grid import BLOCK_SIZE, grid_shape
from gpu_saliency.plan.policy import MAX_OFFSET, RoiPolicy

IMPROVED_BELOW = -0.5
"""Effective offset, QP, below which a block counts as improved."""


@dataclass(frozen=True, slots=True)
class PlanStatistics:
    """Summary of a plan in numbers; offsets in QP."""

    segments: int
    scenes: int
    """Number of scenes: cuts plus one."""
    rows: int
    cols: int
    block_size: int
    """Side of a block in pixels."""
    qp_offset_min: int
    qp_offset_max: int
    recentre: tuple[float, ...]
    """The recentre of each of the first 16 segments."""
    effective_min: float
    """Minimum over all blocks of offset plus recentre; the next two fields are mean and maximum."""
    effective_mean: float
    effective_max: float
    improved_blocks: float
    """Share, 0..1, of blocks with an effective offset below `IMPROVED_BELOW`."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"recentre": list(self.recentre)}


@dataclass(frozen=True, slots=True)
class RoiPlan:
    """QP offsets of a clip by segment and block; in host memory. Raises `ValueError` when its fields contradict each other."""

    qp_offset: NDArray[np.int8]
    """``[segments, rows, cols]``, the offset of each 16x16 block, -12..12; negative is better quality."""
    recentre: NDArray[np.float32]
    """``[segments]``, a fraction of a QP to add to every block of the segment."""
    segment_start: NDArray[np.int64]
    """``[segments]``, the first frame of each segment; strictly rising from 0."""
    frame_count: int
    width: int
    height: int
    policy: RoiPolicy
    block_size: int = BLOCK_SIZE
    cuts: tuple[int, ...] = ()
    """The first frame of each scene but the first, rising."""
    activity: NDArray[np.uint8] | None = None
    """``[segments, rows, cols]``, bytes of `encode_activity`, for `rate_share`; ``None`` gives all blocks the same share."""

    def __post_init__(self) -> None:
        segments = len(self.segment_start)
        if self.qp_offset.shape != (segments, *grid_shape(self.width, self.height, self.block_size)):
            raise ValueError(f"a plan of shape {self.qp_offset.shape} for {segments} segments of {self.width}x{self.height}")
        if self.recentre.shape != (segments,) or segments == 0 or self.segment_start[0] != 0:
            raise ValueError("a plan needs a segment that starts at frame 0, and one recentre for each")
        if segments > 1 and np.diff(self.segment_start).min() <= 0:
            raise ValueError("the segments of a plan must start one after the other")
        if self.segment_start[-1] >= self.frame_count:
            raise ValueError(f"a segment at frame {self.segment_start[-1]} of {self.frame_count}")
        if self.activity is not None and self.activity.shape != self.qp_offset.shape:
            raise ValueError(f"activity of shape {self.activity.shape} for a plan of {self.qp_offset.shape}")
        if int(np.abs(self.qp_offset.astype(int)).max()) > MAX_OFFSET:
            raise ValueError(f"a plan's offsets must lie in -{MAX_OFFSET}..{MAX_OFFSET}")

    @property
    def segment_end(self) -> NDArray[np.int64]:
        """``[segments]``, the end of each segment: the frame after its last one."""
        return np.append(self.segment_start[1:], self.frame_count)

    def effective(self, segment: int) -> NDArray[np.float32]:
        """Effective offsets ``[rows, cols]`` of one segment in QP: offset plus recentre."""
        total: NDArray[np.float32] = self.qp_offset[segment] + self.recentre[segment]
        return total

    def rate_share(self, segment: int) -> NDArray[np.float32]:
        """Rate shares ``[rows, cols]`` of one segment: the estimated share of a plain encode's bits of each block; sum 1."""
        activity = (
            np.ones(self.qp_offset.shape[1:], np.float32) if self.activity is None else decode_activity(self.activity[segment])
        )
        share: NDArray[np.float32] = activity / activity.sum()
        return share

    def segment_of(self, frame: int) -> int:
        """The number of the segment that ``frame`` belongs to."""
        return int(np.searchsorted(self.segment_start, frame, side="right")) - 1

    def between(self, start: int, end: int) -> RoiPlan:
        """Cut out the plan of frames ``[start, end)``, renumbered from 0. Raises `ValueError` for frames outside the plan."""
        if not 0 <= start < end <= self.frame_count:
            raise ValueError(f"frames {start} to {end} of a plan of {self.frame_count}")
        chosen = slice(self.segment_of(start), self.segment_of(end - 1) + 1)
        return replace(
            self,
            qp_offset=self.qp_offset[chosen],
            recentre=self.recentre[chosen],
            segment_start=np.maximum(self.segment_start[chosen] - start, 0),
            frame_count=end - start,
            cuts=tuple(cut - start for cut in self.cuts if start < cut < end),
            activity=None if self.activity is None else self.activity[chosen],
        )

    def statistics(self) -> PlanStatistics:
        """Summarise the plan in numbers, for results."""
        # Segment by segment: a plan of an hour has thousands of segments, and floats take four times the memory of bytes.
        effective = [self.effective(segment) for segment in range(len(self.segment_start))]
        return PlanStatistics(
            segments=len(self.segment_start),
            scenes=len(self.cuts) + 1,
            rows=self.qp_offset.shape[1],
            cols=self.qp_offset.shape[2],
            block_size=self.block_size,
            qp_offset_min=int(self.qp_offset.min()),
            qp_offset_max=int(self.qp_offset.max()),
            recentre=tuple(round(float(r), 4) for r in self.recentre[:16]),
            effective_min=round(min(float(e.min()) for e in effective), 3),
            effective_mean=round(float(np.mean([e.mean() for e in effective])), 3),
            effective_max=round(max(float(e.max()) for e in effective), 3),
            improved_blocks=round(float(np.mean([(e < IMPROVED_BELOW).mean() for e in effective])), 4),
        )
