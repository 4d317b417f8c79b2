"""Intents: parsing, contradictions, sampled frames, predicted sizes, and the model of the bits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from plans import half_grid, make_plan

from gpu_saliency import EncodeRequest, EncodeSettings, RoiPolicy, __version__
from gpu_saliency.cli.intent_options import parse_share, parse_size
from gpu_saliency.encode.parts import Part
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.share import share_of
from gpu_saliency.source.clip import Clip
from gpu_saliency.trial import Intent
from gpu_saliency.trial.reuse import recorded_strength
from gpu_saliency.trial.strength import Baseline, Strength
from gpu_saliency.trial.trial import Trial, predicted_bytes
from gpu_saliency.trial.windows import LEAD_FRAMES, LOOKAHEAD_FRAMES, Window, covers, sample_windows


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10M", 10_000_000),
        ("10MB", 10_000_000),
        ("1.5k", 1500),
        ("700MiB", 700 * 2**20),
        ("2Gi", 2**31),
        ("1g", 10**9),
        ("123", 123),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "ten", "10T", "nan", "inf", "1e999"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_shares() -> None:
    assert parse_share("40%") == pytest.approx(0.4)
    assert parse_share("0.4") == pytest.approx(0.4)
    with pytest.raises(UsageError, match="is not a share"):
        parse_share("much")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"target_vmaf": 0.5}, "target_vmaf=0.5: out of range"),
        ({"target_vmaf": float("nan")}, "out of range"),
        ({"target_size": 0}, "target_size=0: out of range"),
        ({"salient_bits": 1.0}, "salient_bits=1: out of range"),
        ({"salient_bits": 40.0}, "salient_bits=40: out of range"),
        ({"auto_offset": True, "max_vmaf_loss": -1.0}, "max_vmaf_loss=-1: out of range"),
        ({"target_vmaf": 90, "target_size": 10**6}, "target_vmaf and target_size cannot be combined"),
        ({"auto_offset": True, "salient_bits": 0.4}, "salient_bits and offset=auto cannot be combined"),
        ({"at_least": True}, "at_least: applies to target_vmaf only"),
        ({"max_vmaf_loss": 1.0}, "max_vmaf_loss: applies to offset=auto only"),
    ],
)
def test_an_intent_that_contradicts_itself(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Intent(**wrong)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("intent", "encode", "policy", "words"),
    [
        (Intent(target_vmaf=90), {"crf": 20}, {}, "target_vmaf and crf cannot be combined"),
        (Intent(target_size=10**6), {"crf": 20}, {}, "target_size and crf cannot be combined"),
        (Intent(target_size=10**6), {"bitrate": 10**6}, {}, "target_size and bitrate cannot be combined"),
        (Intent(auto_offset=True), {"bitrate": 10**6}, {}, "not with a bit rate"),
        (Intent(salient_bits=0.4), {}, {"offset": -4}, "salient_bits and offset cannot be combined"),
    ],
)
def test_an_intent_that_contradicts_the_encode(intent: Intent, encode: dict[str, Any], policy: dict[str, Any], words: str) -> None:
    clip = Clip.__new__(Clip)  # not looked at
    with pytest.raises(UsageError) as caught:
        EncodeRequest(clip, "out.mp4", encode=EncodeSettings(**encode), policy=RoiPolicy(**policy), intent=intent)
    assert words in str(caught.value)


def test_a_policy_takes_fractions() -> None:
    assert RoiPolicy(-3.5).to_json()["offset"] == -3.5
    assert repr(RoiPolicy(-3.0).to_json()["offset"]) == "-3"
    with pytest.raises(UsageError):
        RoiPolicy(float("nan"))


@pytest.mark.parametrize(("frames", "rate"), [(1, 24), (50, 24), (360, 24), (70, 2)])
def test_a_short_clip_is_sampled_whole_in_its_own_parts(frames: int, rate: int) -> None:
    split = [Part(0, frames // 2), Part(frames // 2, frames)] if frames > 1 else [Part(0, 1)]
    windows = sample_windows(split, Fraction(rate))
    assert [window.encoded for window in windows] == [window.measured for window in windows] == split
    assert covers(windows, frames)


@pytest.mark.parametrize(("frames", "rate", "count"), [(400, 24, 6), (24 * 60, 24, 6), (25 * 300, 25, 10), (24 * 7200, 24, 16)])
def test_a_long_clip_is_sampled_evenly(frames: int, rate: int, count: int) -> None:
    windows = sample_windows([Part(0, frames)], Fraction(rate))
    assert len(windows) == count
    assert all(window.frames == 2 * rate for window in windows)
    assert windows[0].start >= 0
    assert windows[-1].encoded_end <= frames
    assert all(window.lead == min(window.start, LEAD_FRAMES) for window in windows)
    assert all(window.encoded_end == min(window.end + LOOKAHEAD_FRAMES, frames) for window in windows)
    assert not covers(windows, frames)
    gaps = {b.start - a.end for a, b in itertools.pairwise(windows)}
    assert min(gaps) >= 0
    assert max(gaps) - min(gaps) <= 1


def test_a_whole_clip_has_the_bytes_of_its_parts() -> None:
    assert predicted_bytes([(100, 900), (50, 450)], [Window(0, 0, 10, 10), Window(10, 10, 20, 20)], 20) == 1500


def test_key_frames_of_windows_are_counted_as_often_as_the_clip_has_them() -> None:
    """Key frames of 1000 bytes and others of 100: 1000 frames have 4 key frames."""
    windows = [Window(0, 0, 50, 90), Window(476, 500, 550, 590)]
    assert predicted_bytes([(1000, 4900), (1000, 5000)], windows, 1000) == 4 * 1000 + 996 * 100


def trial_of(vmaf: float, size: int) -> Trial:
    return Trial(crf=23, offset=None, vmaf=vmaf, video_bytes=size, seconds=0)


def test_the_gain_is_measured_at_equal_size() -> None:
    """Plain encodes lose 2 VMAF by a tenth of the size: a trial of 90 % at 94.5 has gained half a point against 94."""
    baseline = Baseline.of(trial_of(96, 1000), trial_of(94, 900))
    assert baseline.gain(trial_of(94.5, 900)) == pytest.approx(0.5)
    assert baseline.gain(trial_of(96, 1000)) == pytest.approx(0)
    assert baseline.gain(trial_of(97, 1111)) == pytest.approx(-1, abs=0.01)


def test_plain_encodes_of_one_size_have_no_slope() -> None:
    assert Baseline.of(trial_of(96, 1000), trial_of(95, 1000)).gain(trial_of(95, 900)) == pytest.approx(-1)


def test_the_share_of_the_bits() -> None:
    """Half of the blocks get -6 QP, twice the bits, the others +6, half of them: 2 / 2.5 of all are inside."""
    grid = half_grid(64, 32, "left", -6, 6)
    plan = make_plan([grid, 0 * grid], [0, 10], 20, 64, 32)
    chosen = np.stack([grid < 0, grid < 0])
    assert share_of(plan, chosen, frames=10) == pytest.approx(0.8)
    # The second segment is plain, and so has 1 where the first has 2.5 / 2.
    assert share_of(plan, chosen) == pytest.approx((1 + 0.5) / (1.25 + 1))
    change = np.full(plan.qp_offset.shape, np.nan)
    change[0, 0, 0] = 0  # one of two rows of two blocks inside was not moved
    assert share_of(plan, chosen, change, 10) == pytest.approx((3 * 2 + 1) / (3 * 2 + 1 + 4 * 0.5))


def test_shares_count_frames() -> None:
    grid = half_grid(64, 32, "left", -6, 6)
    plan = make_plan([grid, 0 * grid], [0, 30], 40, 64, 32)
    chosen = np.stack([grid < 0, grid < 0])
    assert share_of(plan, chosen) == pytest.approx((30 * 1 + 10 * 0.5) / (30 * 1.25 + 10))
    assert share_of(replace(plan, recentre=np.ones(2, np.float32)), chosen) == pytest.approx(share_of(plan, chosen))


AUTO = Intent(auto_offset=True)
SETTINGS = {
    "encoder": "libx264",
    "preset": "medium",
    "encoder_params": "",
    "pix_fmt": "yuv420p",
    "roi_channel": "addroi",
    "background": None,
    **RoiPolicy().to_json(),
}
FOUND = {"version": __version__, "auto_offset": True, "max_vmaf_loss": 0.0, "offset_crf": 30.0, "offset": -4.5, "vmaf_gain": 0.1}


def reused(*records: object, crf: float = 30, policy: RoiPolicy | None = None, asked: Intent = AUTO) -> Strength | None:
    job: Any = SimpleNamespace(crf=crf, record=lambda: SimpleNamespace(to_json=lambda: dict(SETTINGS)))
    sidecar: Any = SimpleNamespace(encodes={f"{i}.mp4": record for i, record in enumerate(records)})
    return recorded_strength(sidecar, job, policy or RoiPolicy(), asked)


def test_a_recorded_strength_is_reused() -> None:
    """The record has the strength that was found; what was asked for then was the default."""
    record = SETTINGS | {"offset": -4.5, "intent": FOUND}
    assert reused(record) == Strength(-4.5, 0.1)
    assert reused(record, SETTINGS | {"intent": FOUND | {"offset": -2}}) == Strength(-2, 0.1)
    assert reused(record, SETTINGS) == Strength(-4.5, 0.1)


def test_a_strength_of_other_settings_is_not_reused() -> None:
    record = SETTINGS | {"intent": FOUND}
    assert reused(record, crf=31) is None
    assert reused(record, policy=RoiPolicy(max_background_offset=2)) is None
    assert reused(record, asked=Intent(auto_offset=True, max_vmaf_loss=0.5)) is None
    assert reused(SETTINGS | {"preset": "slow", "intent": FOUND}) is None
    assert reused(SETTINGS | {"intent": FOUND | {"version": "0"}}) is None


@pytest.mark.parametrize("offset", ["-4.5", None, 3, -13, float("nan"), float("-inf"), True, [-3], 10**400])
def test_a_record_that_cannot_be_true_is_passed_over(offset: object) -> None:
    assert reused(SETTINGS | {"intent": FOUND | {"offset": offset}}) is None
    assert reused(SETTINGS | {"intent": FOUND}, SETTINGS | {"intent": FOUND | {"offset": offset}}) == Strength(-4.5, 0.1)


def test_records_of_any_shape() -> None:
    assert reused(None, [], "x", SETTINGS | {"intent": []}, {"intent": FOUND}) is None
