"""The share of the modelled bits that the most looked-at blocks get, and the strength that gives them a wanted share.

A block's modelled bits are ``rate_share * 2 ** (-q / 6)`` with its effective offset ``q``, as in mapping.py. The most
looked-at quarter of the blocks is chosen in each segment by the attention ``w`` of the mapping ``attention``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.attention import DEFAULT_CURVE
from gpu_saliency.plan.policy import MAX_OFFSET, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan

QUARTER = 0.25
OFFSET_STEP = 0.05
_TOLERANCE = 0.005
"""A share may miss the wanted one by this: rounding to whole QP makes small steps."""


def looked_at(track: SaliencyTrack, plan: RoiPlan) -> NDArray[np.bool_]:
    """``[segments, rows, cols]``: the quarter of the blocks of each segment of ``plan`` that viewers look at most."""
    policy = plan.policy
    starts = np.searchsorted(track.sample_starts(), plan.segment_start).astype(np.int64)
    reducer = track.reducer or HostReducer()
    saliency = reducer.reduce_saliency(track, starts, policy.aggregator, policy.ema_alpha)
    gaze = None if track.gaze is None else reducer.reduce_gaze(track, starts, policy.aggregator, policy.ema_alpha)
    curve = track.attention or DEFAULT_CURVE
    chosen = np.zeros(saliency.shape, np.bool_)
    for i, one in enumerate(saliency):
        weight = curve.weight(None if gaze is None else gaze[i], one).ravel()
        count = max(1, round(QUARTER * weight.size))
        chosen[i].flat[np.argsort(-weight, kind="stable")[:count]] = True
    return chosen


def share_of(
    plan: RoiPlan, chosen: NDArray[np.bool_], change: NDArray[np.floating] | None = None, frames: int | None = None
) -> float:
    """Share, 0..1, of the modelled bits of the first ``frames`` frames (``None``: all) that lie in the ``chosen`` blocks.

    ``change`` ``[segments, rows, cols]`` replaces the effective offsets where it is not NaN.
    """
    inside = total = 0.0
    last = plan.frame_count if frames is None else frames
    for i, (start, end) in enumerate(zip(plan.segment_start.tolist(), plan.segment_end.tolist(), strict=True)):
        if start >= last:
            break
        offsets = plan.effective(i).astype(np.float64)
        if change is not None:
            offsets = np.where(np.isnan(change[i]), offsets, change[i])
        bits = plan.rate_share(i) * np.exp2(-offsets / 6) * (min(end, last) - start)
        inside += float(bits[chosen[i]].sum())
        total += float(bits.sum())
    return inside / total


def plain_share_of(plan: RoiPlan, chosen: NDArray[np.bool_]) -> float:
    """Share, 0..1, of the modelled bits of a plain encode that lie in the ``chosen`` blocks."""
    return share_of(plan, chosen, np.zeros(plan.qp_offset.shape, np.float32))


@dataclass(frozen=True, slots=True)
class Shares:
    """The strength that `find_share` found, and what it gives."""

    offset: float
    plain: float
    modelled: float


def find_share(
    make_plan: Callable[[RoiPolicy], RoiPlan],
    track: SaliencyTrack,
    policy: RoiPolicy,
    wanted: float,
    *,
    nearest: bool = False,
) -> Shares:
    """Find the offset, in steps of `OFFSET_STEP`, that gives the most looked-at quarter the share ``wanted`` of the bits.

    ``make_plan`` plans ``track`` with ``policy`` at some offset. A share outside of the reachable range gives its nearer end with
    ``nearest``, and raises `UsageError` with the range otherwise.
    """
    plain = make_plan(replace(policy, offset=0))
    chosen = looked_at(track, plain)
    shares: dict[int, float] = {}

    def share(steps: int) -> float:
        if steps not in shares:
            shares[steps] = share_of(make_plan(replace(policy, offset=-steps * OFFSET_STEP)), chosen)
        return shares[steps]

    low, high = 0, round(MAX_OFFSET / OFFSET_STEP)
    least, most = share(low), share(high)
    if not nearest and not least - _TOLERANCE <= wanted <= most + _TOLERANCE:
        problem = f"cannot be reached: this clip allows {least:.1%} (a plain encode) to {most:.1%} (the strongest plan)"
        raise UsageError(problem, setting="salient_bits", value=f"{wanted:.1%}", cure="give a share between them")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if share(middle) < wanted else (low, middle)
    best = min((low, high), key=lambda steps: abs(share(steps) - wanted))
    return Shares(round(-best * OFFSET_STEP, 2) if best else 0.0, least, share(best))
