"""`build_roi_plan`: turns the saliency of a clip into its ROI plan, segment by segment."""

from __future__ import annotations

import numpy as np

from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import SaliencyTrack, decode_activity, encode_activity
from gpu_saliency.plan.attention import DEFAULT_CURVE, attention_offsets, balancing_share
from gpu_saliency.plan.mapping import balanced_offsets, symmetric_offsets
from gpu_saliency.plan.policy import DEFAULT_OFFSET, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.plan.segments import split_track


def build_roi_plan(sidecar: Sidecar, policy: RoiPolicy | None = None, *, per_map: bool = False) -> RoiPlan:
    """Convert the saliency of ``sidecar`` to QP offsets, segment by segment; see `plan_track`."""
    return plan_track(sidecar.track, (sidecar.source.width, sidecar.source.height), policy, per_map=per_map)


def plan_track(track: SaliencyTrack, size: tuple[int, int], policy: RoiPolicy | None = None, *, per_map: bool = False) -> RoiPlan:
    """Convert ``track`` of a clip of ``size`` (width, height) to QP offsets; the same track always gives the same plan.

    With ``per_map`` and automatic segments each map becomes a segment, for channels in which a change of offsets costs no bits.
    Raises `UsageError` when the policy wants more segments than the track has maps.
    """
    policy = policy or RoiPolicy()
    every_map = per_map and policy.segments == "auto"
    starts = np.arange(len(track.sample_frame)) if every_map else split_track(track, policy.segments)
    reducer = track.reducer or HostReducer()
    maps = reducer.reduce_saliency(track, starts, policy.aggregator, policy.ema_alpha)
    gaze = None
    if track.gaze is not None and policy.mapping == "attention":
        gaze = reducer.reduce_gaze(track, starts, policy.aggregator, policy.ema_alpha)
    activity = encode_activity(reducer.reduce_activity(track, starts))
    curve = track.attention or DEFAULT_CURVE
    offsets = np.empty(maps.shape, np.int8)
    recentre = np.zeros(len(maps), np.float32)
    for i, saliency in enumerate(maps):
        weight = decode_activity(activity[i]).astype(np.float64)
        share = weight / weight.sum()
        if policy.mapping == "symmetric":
            offsets[i] = symmetric_offsets(saliency, policy.offset)
        elif policy.mapping == "balanced":
            offsets[i], recentre[i] = balanced_offsets(saliency, share, policy.offset)
        else:
            offsets[i], recentre[i] = attention_offsets(
                None if gaze is None else gaze[i],
                saliency,
                balancing_share(weight),
                curve,
                curve.beta * policy.offset / DEFAULT_OFFSET,
                policy.max_background_offset,
            )
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
