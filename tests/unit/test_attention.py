"""The mapping ``attention``: its weights against the curve, its offsets against the size model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.plan.attention import attention_offsets, balance

CURVE = AttentionCurve(
    gaze=((0.001, 0.01), (0.01, 0.2), (0.1, 2.0), (1.0, 20.0)),
    saliency=((0.001, 0.02), (0.1, 2.0), (0.3, 4.0)),
    object=6.0,
    floor=0.05,
    beta=0.5,
)
GRID = (20, 30)


def predicted_size(offsets: np.ndarray, recentre: float, share: np.ndarray) -> float:
    """Size relative to a plain encode, if a block's bits follow 2 ** (-q / 6)."""
    return float((share * np.exp2(-(offsets + recentre) / 6)).sum())


def maps(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaze over three decades, saliency, and rate shares that differ by a factor of 20."""
    rng = np.random.default_rng(seed)
    activity = rng.uniform(0.05, 1, GRID)
    return np.exp(rng.uniform(np.log(1e-3), 0, GRID)), rng.random(GRID) ** 4, activity / activity.sum()


@pytest.mark.parametrize("beta", [-1.5, -0.5, 0.1, 0.4, 0.67, 2.0])
@pytest.mark.parametrize("has_gaze", [True, False])
@pytest.mark.parametrize("limit", [1, 4, 12])
def test_the_predicted_size_is_kept(beta: float, has_gaze: bool, limit: int) -> None:
    gaze, saliency, share = maps(3)
    offsets, recentre = attention_offsets(gaze if has_gaze else None, saliency, share, CURVE, beta, limit)
    assert predicted_size(offsets, recentre, share) == pytest.approx(1, abs=1e-6)
    assert abs(recentre) <= 0.5
    assert offsets.max() <= limit
    assert offsets.min() >= -12


def test_more_attention_never_means_a_higher_offset() -> None:
    gaze, saliency, share = maps(4)
    weight = CURVE.weight(gaze, saliency).ravel()
    offsets = attention_offsets(gaze, saliency, share, CURVE, 0.5)[0].ravel()
    assert np.all(np.diff(offsets[np.argsort(weight)].astype(int)) <= 0)
    assert offsets.min() < offsets.max()


def test_strength_0_is_the_plain_encode() -> None:
    gaze, saliency, share = maps(5)
    offsets, recentre = attention_offsets(gaze, saliency, share, CURVE, 0.0)
    assert not offsets.any()
    assert recentre == pytest.approx(0, abs=1e-9)


def test_the_opposite_strength_turns_the_plan_round() -> None:
    gaze, saliency, share = maps(6)
    forward, _ = attention_offsets(gaze, saliency, share, CURVE, 0.4)
    back, _ = attention_offsets(gaze, saliency, share, CURVE, -0.4)
    assert np.corrcoef(forward.ravel(), back.ravel())[0, 1] < -0.95


def test_four_times_the_attention_is_6_beta_qp_lower() -> None:
    """``3 * beta * log2(4)`` is 3 QP at beta 0.5; objects and floor play no part."""
    gaze = np.array([[0.1, 0.1, 0.4, 0.4]])
    offsets, _ = attention_offsets(gaze, np.zeros((1, 4)), np.full((1, 4), 0.25), replace(CURVE, floor=0.0), 0.5)
    assert (offsets[0, 0] - offsets[0, 2], offsets[0, 1] - offsets[0, 3]) == (3, 3)


def test_weight_follows_the_points_and_ends_flat() -> None:
    zero = np.zeros(5)
    curve = replace(CURVE, floor=0.0)
    found = curve.weight(np.array([0.0, 0.001, 0.01, 0.0316227766, 1.0]), zero)
    assert found == pytest.approx([0.01, 0.01, 0.2, np.sqrt(0.2 * 2), 20], rel=1e-6)
    assert curve.weight(None, np.array([0.3, 1.0])) == pytest.approx([4 + 6 * 0.3, 4 + 6], rel=1e-6)


def test_the_floor_holds_where_nobody_looks() -> None:
    assert CURVE.weight(np.zeros(1), np.zeros(1)) == pytest.approx([0.05])


def test_a_limit_takes_no_more_from_the_background_and_less_from_nowhere_else() -> None:
    """What the limit saves the background, all other blocks give by one common shift."""
    gaze, saliency, share = maps(7)
    asked = -1.5 * np.log2(CURVE.weight(gaze, saliency))
    free, limited = (np.clip(asked + balance(asked, share, limit), -12, limit) for limit in (12, 2))
    assert free.max() > 2
    assert limited.max() == 2
    shift = (limited - free)[limited < 2]
    assert shift.min() > 0
    assert np.ptp(shift) == pytest.approx(0, abs=1e-6)


def test_json_round_trip() -> None:
    assert AttentionCurve.from_json(CURVE.to_json()) == CURVE


@pytest.mark.parametrize(
    "change",
    [
        {"gaze": ((0.1, 2.0),)},
        {"gaze": ((0.1, 2.0), (0.2, 1.0))},
        {"gaze": ((0.2, 1.0), (0.1, 2.0))},
        {"saliency": ((0.0, 1.0), (0.1, 2.0))},
        {"gaze": ((0.1, 1.0), (0.2, float("nan")))},
        {"object": -1.0},
        {"floor": float("inf")},
    ],
)
def test_a_curve_that_falls_or_is_not_finite_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"gaze|saliency|object|floor"):
        replace(CURVE, **change)  # type: ignore[arg-type]
