"""The mapping ``attention``: strength, limits and size of its plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_saliency.analysis.track import SaliencyTrack, decode_activity, encode_activity, encode_gaze, encode_saliency
from gpu_saliency.errors import UsageError
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.plan.attention import DEFAULT_CURVE, attention_offsets, balancing_share
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan

STRAIGHT = AttentionCurve(gaze=((1e-6, 1e-6), (1.0, 1.0)), saliency=((1e-6, 1e-6), (1.0, 1.0)), beta=0.5)
"""``w`` is the map itself."""
Grid = NDArray[np.float64]


def blob(rows: int = 30, cols: int = 54, seed: int = 3) -> tuple[Grid, Grid]:
    """A map with one peak on a dark, slightly noisy ground, and rate shares that differ by a factor of 20."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((rows, cols))
    peak = np.exp(-(((y - rows / 2) / 4) ** 2) - ((x - cols / 3) / 5) ** 2)
    activity = rng.uniform(0.05, 1, (rows, cols))
    return np.clip(0.9 * peak + rng.uniform(0, 0.01, (rows, cols)), 0, 1), activity / activity.sum()


def size_of(offsets: NDArray[np.int8], recentre: float, share: Grid) -> float:
    """Size relative to a plain encode, if a block's bits follow 2 ** (-q / 6)."""
    return float((share * np.exp2(-(offsets + recentre) / 6)).sum())


def test_offsets_follow_the_formula() -> None:
    """Half of the bits where w is 16 times the rest's: 6 QP apart, and c = 3 - 6 log2(...) keeps the size."""
    gaze = np.array([[0.8, 0.05]])
    offsets, recentre = attention_offsets(gaze, gaze, np.array([[0.5, 0.5]]), STRAIGHT, 0.5)
    assert int(offsets[0, 1]) - int(offsets[0, 0]) == 6
    # 0.5 * 2 ** (-q / 6) + 0.5 * 2 ** (-(q + 6) / 6) = 1 gives q = 6 * log2(0.75).
    assert offsets[0, 0] + recentre == pytest.approx(6 * np.log2(0.75), abs=1e-5)


@pytest.mark.parametrize("beta", [2, 1, 0.5, 0.1, -0.5, -2])
@pytest.mark.parametrize("limit", [12, 4, 3.5, 1, 0.4])
def test_the_size_is_kept_and_no_block_loses_more_than_the_limit(beta: float, limit: float) -> None:
    gaze, share = blob()
    offsets, recentre = attention_offsets(gaze, gaze**2, share, DEFAULT_CURVE, beta, limit)
    assert size_of(offsets, recentre, share) == pytest.approx(1, abs=0.01)
    assert float(offsets.max()) + recentre <= limit + 1e-6
    assert int(offsets.min()) >= -12


@pytest.mark.parametrize("limit", [0.0, 0.3, 1.0, 4.0])
def test_the_limit_holds_where_few_blocks_share_the_size(limit: float) -> None:
    """Two blocks: rounding moves much of the size at once."""
    for dark in np.geomspace(1e-4, 1, 30):
        gaze, share = np.array([[1.0, dark]]), np.array([[0.1, 0.9]])
        offsets, recentre = attention_offsets(gaze, gaze, share, STRAIGHT, 0.5, limit)
        assert float(offsets.max()) + recentre <= limit + 1e-6
        assert size_of(offsets, recentre, share) == pytest.approx(1, abs=1e-6)


def test_more_gaze_never_means_a_worse_offset() -> None:
    gaze, share = blob()
    offsets, _ = attention_offsets(gaze, np.zeros_like(gaze), share, DEFAULT_CURVE, 0.5, 4)
    ordered = offsets.ravel()[np.argsort(gaze.ravel())].astype(int)
    assert (np.diff(ordered) <= 0).all()
    assert ordered[0] - ordered[-1] >= 6


def test_a_flat_map_is_a_plain_encode() -> None:
    for value in (0.0, 0.02, 1.0):
        flat = np.full((3, 4), value)
        offsets, recentre = attention_offsets(flat, flat, np.full((3, 4), 1 / 12), DEFAULT_CURVE, 0.5, 4)
        assert np.abs(offsets + recentre).max() == pytest.approx(0, abs=1e-5)


def test_objects_count_where_nobody_is_expected_to_look() -> None:
    gaze, share = blob()
    objects = np.zeros_like(gaze)
    objects[2:6, 40:48] = 1
    without, _ = attention_offsets(gaze, np.zeros_like(gaze), share, DEFAULT_CURVE, 0.5, 4)
    with_them, _ = attention_offsets(gaze, objects, share, DEFAULT_CURVE, 0.5, 4)
    assert with_them[3, 44] < without[3, 44] - 3


def track(saliency: Grid, gaze: Grid | None, curve: AttentionCurve | None) -> SaliencyTrack:
    return SaliencyTrack(
        saliency=encode_saliency(saliency[None]),
        activity=encode_activity(np.ones((1, *saliency.shape))),
        sample_frame=np.array([0]),
        motion=np.zeros(1, np.float32),
        frame_count=6,
        gaze=None if gaze is None else encode_gaze(gaze[None]),
        attention=curve,
    )


def planned(source: SaliencyTrack, policy: RoiPolicy | None = None) -> RoiPlan:
    rows, cols = source.saliency.shape[1:]
    return plan_track(source, (cols * 16, rows * 16), policy)


def test_a_plan_takes_gaze_and_curve_from_the_track() -> None:
    gaze, _ = blob()
    saliency = np.zeros_like(gaze)
    offsets = planned(track(saliency, gaze, STRAIGHT)).qp_offset[0]
    assert np.unravel_index(offsets.argmin(), offsets.shape) == np.unravel_index(gaze.argmax(), gaze.shape)
    doubled = planned(track(saliency, gaze, replace(STRAIGHT, beta=0.1))).qp_offset[0]
    assert int(doubled.max()) - int(doubled.min()) < int(offsets.max()) - int(offsets.min())


def test_a_track_without_gaze_or_curve_is_planned_from_its_saliency() -> None:
    saliency, _ = blob()
    source = track(saliency, None, None)
    busy = encode_activity(np.random.default_rng(2).uniform(0.05, 1, source.activity.shape))
    source = replace(source, activity=busy)
    plan = planned(source)
    offsets = plan.qp_offset[0]
    assert offsets[np.unravel_index(saliency.argmax(), saliency.shape)] == offsets.min() <= -3
    assert offsets.max() >= 1
    share = balancing_share(decode_activity(source.activity[0]))
    assert size_of(offsets, float(plan.recentre[0]), share) == pytest.approx(1, abs=0.01)


def test_strength_grows_with_the_offset_and_is_plain_at_0() -> None:
    gaze, _ = blob()
    source = track(gaze, gaze, None)
    plans = [planned(source, RoiPolicy(offset, max_background_offset=12)) for offset in (0, -1, -2, -3, -6)]
    assert not plans[0].qp_offset.any()
    assert float(plans[0].recentre[0]) == pytest.approx(0, abs=1e-6)
    spans = [int(plan.qp_offset.max()) - int(plan.qp_offset.min()) for plan in plans]
    assert spans == sorted(spans)
    assert spans[4] > spans[3] > spans[1] > 0


def test_a_positive_offset_favours_what_viewers_do_not_look_at() -> None:
    gaze, _ = blob()
    offsets = planned(track(gaze, gaze, None), RoiPolicy(3)).qp_offset[0]
    assert offsets[np.unravel_index(gaze.argmax(), gaze.shape)] == offsets.max() > 0


def test_the_policy_caps_what_a_block_loses() -> None:
    gaze, _ = blob()
    source = track(gaze, gaze, None)
    limits = (0.5, 1.0, 2.5, 12.0)
    worst = [planned(source, RoiPolicy(-6, max_background_offset=limit)).statistics().effective_max for limit in limits]
    assert all(one <= limit for one, limit in zip(worst, limits, strict=True))
    assert worst == sorted(worst)
    assert worst[0] > 0
    assert worst[3] > 3


@pytest.mark.parametrize("limit", [-0.1, 12.1, float("nan")])
def test_a_cap_out_of_range(limit: float) -> None:
    with pytest.raises(UsageError, match="max_background_offset="):
        RoiPolicy(max_background_offset=limit)
