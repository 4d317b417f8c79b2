"""Scene cuts, the time axis of a track, and its segments."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from gpu_saliency import RoiPolicy
from gpu_saliency.analysis.reduce import reduce_activity, reduce_saliency
from gpu_saliency.analysis.track import SaliencyTrack, decode_activity, encode_activity, encode_saliency
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.segments import distance, split_track
from gpu_saliency.source.scenes import find_cuts


def track_of(columns: list[int | None], cuts: tuple[int, ...] = (), motion: list[float] | None = None) -> SaliencyTrack:
    """A track with a map every sixth frame, 4 x 12 blocks, 1.0 in the two columns from ``columns[i]`` on (``None``: nowhere)."""
    maps = np.zeros((len(columns), 4, 12), np.float32)
    for one, column in zip(maps, columns, strict=True):
        if column is not None:
            one[:, column : column + 2] = 1
    return SaliencyTrack(
        saliency=encode_saliency(maps),
        activity=encode_activity(np.full_like(maps, 0.1)),
        sample_frame=np.arange(len(maps)) * 6 + 3,
        motion=np.array([0.0] * len(maps) if motion is None else motion, np.float32),
        frame_count=len(maps) * 6,
        cuts=cuts,
    )


def test_a_pan_is_no_cut_and_a_flash_at_most_one() -> None:
    """A pan changes every frame by the same amount; a flash changes two consecutive frames, of which one at most is a cut."""
    assert find_cuts(np.full(40, 0.2)) == ()
    flash = np.full(40, 0.01)
    flash[[20, 21]] = 0.5
    assert len(find_cuts(flash)) <= 1
    cut = np.full(40, 0.01)
    cut[20] = 0.5
    assert find_cuts(cut) == (20,)


def test_each_map_applies_until_half_way_to_the_next_but_never_across_a_cut() -> None:
    track = track_of([0, 2, 4, 6], cuts=(10,))
    assert track.sample_frame.tolist() == [3, 9, 15, 21]
    assert track.sample_starts().tolist() == [0, 6, 10, 18]


def test_auto_splits_where_the_subject_has_moved() -> None:
    """Four still maps, four with the subject elsewhere; then a cut, although the map is the same."""
    track = track_of([0, 0, 0, 0, 6, 6, 6, 6, 6, 6], cuts=(48,))
    assert split_track(track, "auto").tolist() == [0, 4, 8]
    assert split_track(replace(track, cuts=()), "auto").tolist() == [0, 4]
    assert split_track(track, "clip").tolist() == [0]


def test_a_slow_drift_adds_up() -> None:
    """A soft blob moves by a quarter of a block per map: neighbours hardly differ, the first and the last do not overlap."""
    x = np.arange(12)
    maps = np.stack([np.tile(np.exp(-((x - 2 - i / 4) ** 2) / 2), (4, 1)) for i in range(32)]).astype(np.float32)
    track = replace(
        track_of([None] * 32),
        saliency=encode_saliency(maps),
    )
    assert max(distance(a, b) for a, b in itertools.pairwise(maps)) < 0.3
    starts = split_track(track, "auto")
    assert 3 <= len(starts) <= 12
    assert np.diff(starts).min() >= 2


def test_a_fixed_number_of_segments() -> None:
    track = track_of([0, 0, 2, 2, 4, 4, 6, 6])
    assert split_track(track, "4").tolist() == [0, 2, 4, 6]
    assert len(split_track(track, "8")) == 8
    assert split_track(track, "1").tolist() == [0]
    with pytest.raises(UsageError, match="there are only 8 maps"):
        split_track(track, "9")


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "²"])
def test_bad_values_of_segments(text: str) -> None:
    with pytest.raises(UsageError, match="segments="):
        RoiPolicy(segments=text)


def test_an_almost_empty_map_is_no_change() -> None:
    """Scattered noise of one code value must not split a clip without a subject."""
    rng = np.random.default_rng(3)
    noise = encode_saliency(rng.uniform(0, 1 / 255, (20, 4, 12)))
    assert len(split_track(replace(track_of([None] * 20), saliency=noise), "auto")) == 1


def test_reducers_work_within_their_segment() -> None:
    track = track_of([0, 2, 8, 8])
    starts = np.array([0, 2])
    mean = reduce_saliency(track, starts, "mean", 0.6)
    assert mean[0, 0, :4].tolist() == [0.5] * 4
    assert mean[1, 0, 8:10].tolist() == [1, 1]
    assert reduce_saliency(track, starts, "max", 0.6)[0, 0, :4].tolist() == [1] * 4
    np.testing.assert_allclose(reduce_saliency(track, starts, "ema", 0.75)[0, 0, :4], [0.25, 0.25, 0.75, 0.75])


def test_a_cut_is_not_taken_for_motion() -> None:
    """The third map follows a cut with a large difference: it takes the weight of the fourth, which shows its scene's motion."""
    track = track_of([0, 0, 4, 8], cuts=(12,), motion=[0, 0.1, 0.9, 0.1])
    found = reduce_saliency(track, np.array([0]), "motion-weighted", 0.6)[0, 0]
    np.testing.assert_allclose(found[[0, 4, 8]], [0.5, 0.25, 0.25], atol=1e-6)


def test_activity_after_a_cut_is_left_out_where_a_segment_has_more() -> None:
    track = track_of([0] * 4, cuts=(12,))
    activity = np.full((4, 4, 12), 0.1)
    activity[2] = 0.9
    track = replace(track, activity=encode_activity(activity))
    assert reduce_activity(track, np.array([0])).max() == pytest.approx(0.1, rel=0.02)
    assert reduce_activity(track, np.array([0, 2, 3]))[1].max() == pytest.approx(0.9, rel=0.02)


def test_activity_codes_are_fine_enough() -> None:
    values = np.geomspace(1 / 255, 6, 1000)
    np.testing.assert_allclose(decode_activity(encode_activity(values)), values, rtol=0.0146)


def test_a_plan_of_a_stretch() -> None:
    track = track_of([0, 2, 4, 6], cuts=(10,))
    plan = plan_track(track, (192, 64), RoiPolicy(segments="4"))
    assert plan.segment_start.tolist() == [0, 6, 10, 18]
    part = plan.between(8, 20)
    assert part.segment_start.tolist() == [0, 2, 10]
    assert part.segment_end.tolist() == [2, 10, 12]
    assert part.cuts == (2,)
    for frame in range(12):
        np.testing.assert_array_equal(part.effective(part.segment_of(frame)), plan.effective(plan.segment_of(frame + 8)))
    with pytest.raises(ValueError, match="frames 8 to 25"):
        plan.between(8, 25)
