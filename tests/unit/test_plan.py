"""The mappings from saliency to QP offsets, against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpu_saliency.analysis.track import SaliencyTrack, encode_activity, encode_saliency
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.mapping import balanced_offsets, symmetric_offsets
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan


def track_of(saliency: np.ndarray, activity: np.ndarray | None = None) -> tuple[SaliencyTrack, tuple[int, int]]:
    """A track with a map every sixth frame from ``saliency`` and ``activity`` ``[maps, rows, cols]``, and the size of its clip."""
    activity = np.ones_like(saliency) if activity is None else activity
    maps, rows, cols = saliency.shape
    track = SaliencyTrack(
        saliency=encode_saliency(saliency),
        activity=encode_activity(activity),
        sample_frame=np.arange(maps) * 6 + 3,
        motion=np.zeros(maps, np.float32),
        frame_count=maps * 6,
    )
    return track, (cols * 16, rows * 16)


def predicted_size(offsets: np.ndarray, recentre: float, share: np.ndarray) -> float:
    """Size relative to a plain encode, if a block's bits follow 2 ** (-q / 6)."""
    return float((share * np.exp2(-(offsets + recentre) / 6)).sum())


def test_symmetric_is_the_classic_rule() -> None:
    saliency = np.array([[0.0, 0.25, 0.5, 0.75, 1.0]])
    assert symmetric_offsets(saliency, -4).tolist() == [[4, 2, 0, -2, -4]]
    assert symmetric_offsets(saliency, 4).tolist() == [[-4, -2, 0, 2, 4]]


@pytest.mark.parametrize("offset", [-12, -6, -3, -1, 1, 3, 12])
@pytest.mark.parametrize("salient", [0.02, 0.15, 0.5, 0.9])
def test_balanced_keeps_the_predicted_size(offset: int, salient: float) -> None:
    """Random saliency over a random share of the blocks, and activities that differ by a factor of 20."""
    rng = np.random.default_rng(7)
    saliency = np.where(rng.random((30, 54)) < salient, rng.uniform(0.7, 1, (30, 54)), rng.uniform(0, 0.1, (30, 54)))
    activity = rng.uniform(0.05, 1, (30, 54))
    share = activity / activity.sum()
    offsets, recentre = balanced_offsets(saliency, share, offset)
    clipped = np.abs(offsets).max() == 12
    assert predicted_size(offsets, recentre, share) == pytest.approx(1, abs=1e-6)
    assert clipped or abs(recentre) <= 0.5


def test_balanced_gives_salient_blocks_the_asked_offset() -> None:
    """A tenth of an evenly detailed picture is fully salient: k + shift = -3 has a solution within |k| <= 6."""
    saliency = np.zeros((10, 10))
    saliency[0] = 1
    offsets, recentre = balanced_offsets(saliency, np.full((10, 10), 0.01), -3)
    assert offsets[0, 0] + recentre == pytest.approx(-3, abs=0.5)
    assert 0 < offsets[5, 5] + recentre < 1


def test_balanced_never_contrasts_more_than_symmetric() -> None:
    """A salient area that holds nearly all bits cannot gain at equal size; the contrast stays bounded to protect the rest."""
    saliency = np.zeros((10, 10))
    saliency[:9] = 1
    offsets, _ = balanced_offsets(saliency, np.full((10, 10), 0.01), -3)
    assert int(offsets.max()) - int(offsets.min()) <= 6


def test_balanced_without_contrast_is_a_plain_encode() -> None:
    for value in (0.0, 0.4, 1.0):
        offsets, recentre = balanced_offsets(np.full((3, 4), value), np.full((3, 4), 1 / 12), -3)
        assert np.abs(offsets + recentre).max() == pytest.approx(0, abs=1e-5)


def test_plan_follows_each_segment() -> None:
    saliency = np.zeros((2, 4, 6), np.float32)
    saliency[0, :, :3], saliency[1, :, 3:] = 1, 1
    plan = plan_track(*track_of(saliency), RoiPolicy(-3, "symmetric"))
    assert plan.segment_start.tolist() == [0, 6]
    assert plan.qp_offset[0, 0].tolist() == [-3, -3, -3, 3, 3, 3]
    assert plan.qp_offset[1, 0].tolist() == [3, 3, 3, -3, -3, -3]
    assert plan.statistics().improved_blocks == 0.5


def test_activity_moves_the_balance() -> None:
    """The larger the salient half's share of the bits, the more QP the other half loses."""
    saliency = np.zeros((1, 4, 4), np.float32)
    saliency[0, :, :2] = 1
    heavy, light = np.full((1, 4, 4), 0.1), np.full((1, 4, 4), 0.1)
    heavy[0, :, :2], light[0, :, 2:] = 1, 1

    def given(activity: np.ndarray) -> float:
        plan = plan_track(*track_of(saliency, activity), RoiPolicy(-3, "balanced"))
        return float(plan.qp_offset[0, 0, 3] + plan.recentre[0])

    assert given(heavy) > 1 > given(light) > 0


@pytest.mark.parametrize("offset", [-13, 13, 100])
def test_offset_out_of_range(offset: int) -> None:
    with pytest.raises(UsageError, match="offset="):
        RoiPolicy(offset)


@pytest.mark.parametrize(
    "change",
    [
        {"qp_offset": np.zeros((1, 3, 4), np.int8)},
        {"qp_offset": np.full((1, 2, 4), 13, np.int8)},
        {"recentre": np.zeros(2, np.float32)},
        {"segment_start": np.array([1])},
    ],
)
def test_a_plan_is_checked_when_made(change: dict[str, np.ndarray]) -> None:
    good = RoiPlan(np.zeros((1, 2, 4), np.int8), np.zeros(1, np.float32), np.array([0]), 1, 64, 32, RoiPolicy())
    with pytest.raises(ValueError, match=r"plan|segments"):
        replace(good, **change)  # type: ignore[arg-type]  # the parametrisation mixes its fields
