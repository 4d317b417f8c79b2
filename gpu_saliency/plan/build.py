"""Saliency to QP offsets: the ROI plan, and the two mappings that make it.

Let ``s`` be a block's saliency in 0..1 and ``o`` the asked offset (negative is better quality).

``symmetric``: ``q = round((2 s - 1) * o)``. Salient blocks gain what the others lose; since most of a picture is not salient, the
file shrinks.

``balanced``: ``q = round(k * s + c)`` with the contrast ``k`` and the shift ``c`` chosen so that the file stays as large as a
plain encode's. A block's bits follow ``2 ** (-q / 6)``: the quantiser's step doubles every 6 QP, and the rate is nearly inverse
to it. So for rate shares ``w`` (``sum w = 1``, estimated from the picture's activity, see activity.py) the size is kept when ``sum
w * 2 ** (-(k s + c) / 6) = 1``, that is ``c = 6 * log2(sum w * 2 ** (-k s / 6))``. ``k`` makes the most salient blocks come out
at ``o``: ``k * max(s) + c = o``, bounded by ``|k| <= 2 |o|``, the contrast of ``symmetric``. What rounding to whole QP leaves
of the balance is kept as ``recentre``, a fraction of a QP that channels add to every block alike.
"""

from __future__ import annotations

import numpy as np

from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import SaliencyTrack, decode_activity, encode_activity
from gpu_saliency.plan.mapping import balanced_offsets, symmetric_offsets
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.plan.segments import split_track


def build_roi_plan(sidecar: Sidecar, policy: RoiPolicy | None = None, *, per_map: bool = False) -> RoiPlan:
    """Turn the saliency of ``sidecar`` into QP offsets, segment by segment; see `plan_track`."""
    return plan_track(sidecar.track, (sidecar.source.width, sidecar.source.height), policy, per_map=per_map)


def plan_track(track: SaliencyTrack, size: tuple[int, int], policy: RoiPolicy | None = None, *, per_map: bool = False) -> RoiPlan:
    """Turn ``track`` of a clip of ``size`` (width, height) into QP offsets; the same track always gives the same plan.

    ``per_map`` gives each map a segment of its own where ``policy`` says ``auto``: for channels to which a change costs nothing.
    Raises `UsageError` when the track cannot be cut as asked.
    """
    policy = policy or RoiPolicy()
    every_map = per_map and policy.segments == "auto"
    starts = np.arange(len(track.sample_frame)) if every_map else split_track(track, policy.segments)
    reducer = track.reducer or HostReducer()
    maps = reducer.reduce_saliency(track, starts, policy.aggregator, policy.ema_alpha)
    activity = encode_activity(reducer.reduce_activity(track, starts))
    offsets = np.empty(maps.shape, np.int8)
    recentre = np.zeros(len(maps), np.float32)
    for i, saliency in enumerate(maps):
        if policy.mapping == "symmetric":
            offsets[i] = symmetric_offsets(saliency, policy.offset)
        else:
            weight = decode_activity(activity[i]).astype(np.float64)
            offsets[i], recentre[i] = balanced_offsets(saliency, weight / weight.sum(), policy.offset)
    return RoiPlan(
        qp_offset=offsets,
        recentre=recentre,
        segment_start=track.sample_starts()[starts],
        frame_count=track.frame_count,
        width=size[0],
        height=size[1],
        policy=policy,
        cuts=track.cuts,
        activity=activity,
    )
