"""`judge`: summarises the realised changes of a comparison as a `Proof`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.compare import Comparison
from gpu_saliency.proof.verdict import Proof, contrast

INSIDE_BELOW = -0.5
"""Effective offset in QP below which a block counts as inside, as in `RoiPlan.statistics`."""


def judge(plan: RoiPlan, comparison: Comparison, size_ratio: float | None) -> Proof:
    """Compare the measured changes with ``plan``; each block is weighted by the number of frames in which it was measured.

    ``size_ratio`` is the size of the ROI encode divided by that of the plain encode, over the compared frames.
    """
    effective = plan.qp_offset + plan.recentre.astype(np.float64)[:, None, None]
    reached = (plan.segment_start < comparison.start + comparison.frames) & (plan.segment_end > comparison.start)
    below = _split(effective[reached])
    inside = effective < below
    measured = comparison.weight > 0
    whole = comparison.frames >= plan.frame_count
    correlation, slope = _regress(effective[measured], comparison.change[measured], comparison.weight[measured])
    planned = tuple(_mean(effective, comparison.weight, side) for side in (inside, ~inside))
    return Proof(
        unit=comparison.unit,
        frames=comparison.frames,
        whole_clip=whole,
        blocks=int(measured.sum()),
        blocks_planned=int(effective[reached].size),
        inside_below=below,
        inside_planned=planned[0],
        outside_planned=planned[1],
        inside_change=_mean(comparison.change, comparison.weight, inside),
        outside_change=_mean(comparison.change, comparison.weight, ~inside),
        blocks_inside=int((measured & inside).sum()),
        blocks_outside=int((measured & ~inside).sum()),
        correlation=correlation,
        slope=slope,
        size_ratio=size_ratio if whole else None,
        excerpt_size_ratio=None if whole else size_ratio,
        share_error=_share_error(comparison, inside, contrast(*planned)),
        change=comparison.change,
    )


def _split(effective: NDArray[np.float64]) -> float:
    """The effective offset that divides inside from outside.

    It is `INSIDE_BELOW`, or the middle of the plan's range if all blocks are on one side of it.
    """
    low, high = float(effective.min()), float(effective.max())
    return INSIDE_BELOW if low < INSIDE_BELOW <= high else (low + high) / 2


def _mean(values: NDArray[np.float64], weight: NDArray[np.int64], where: NDArray[np.bool_]) -> float | None:
    where = where & (weight > 0)
    return float(np.average(values[where], weights=weight[where])) if where.any() else None


def _share_error(comparison: Comparison, inside: NDArray[np.bool_], planned: float | None) -> float | None:
    """The standard error of `Proof.share`: the weighted means of the two sides as means of independent blocks."""
    if planned is None:
        return None
    variance = 0.0
    for side in (inside, ~inside):
        where = side & (comparison.weight > 0)
        count = int(where.sum())
        if count < 2:
            return None
        share = comparison.weight[where] / comparison.weight[where].sum()
        rest = comparison.change[where] - share @ comparison.change[where]
        variance += float(share**2 @ rest**2) * count / (count - 1)
    return math.sqrt(variance) / abs(planned)


def _regress(
    planned: NDArray[np.float64], realised: NDArray[np.float64], weight: NDArray[np.int64]
) -> tuple[float | None, float | None]:
    """Weighted Pearson correlation and slope of ``realised`` on ``planned``, all ``[N]``."""
    if len(planned) < 2:
        return None, None
    share = weight / weight.sum()
    x, y = planned - share @ planned, realised - share @ realised
    xx, yy, xy = (float(share @ (p * q)) for p, q in ((x, x), (y, y), (x, y)))
    # The limit excludes a constant plan, of which the variance is only rounding error.
    if xx < 1e-9:
        return None, None
    return (xy / math.sqrt(xx * yy) if yy > 1e-9 else None), xy / xx
