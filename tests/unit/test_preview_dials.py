"""The preview's dials, its requests for trial encodes, and the share of the bits; no encode is made here."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from plans import half_grid, make_plan
from waiting import HANG_SECONDS, wait_until

from gpu_saliency import RoiPlan, RoiPolicy
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.cli.encode_command import encode_command
from gpu_saliency.errors import EncodeError, UsageError
from gpu_saliency.plan.share import find_share, plain_share_of, share_of
from gpu_saliency.preview.dials import Dials, QualityDial
from gpu_saliency.preview.estimator import Comparison, Draw, Estimate, FoundStrength
from gpu_saliency.preview.measuring import Measurement, Measuring
from gpu_saliency.preview.web.wire import measurement_message, parse_command
from gpu_saliency.progress import Observer
from gpu_saliency.source.clip import Clip
from gpu_saliency.trial.trial import measured_bytes
from gpu_saliency.trial.windows import LEAD_FRAMES, LOOKAHEAD_FRAMES, Window, window_around

X264 = QualityDial("libx264", "medium", 23, 0, 51, None)
SVT = QualityDial("libsvtav1", "8", 35, 1, 63, 1)
ESTIMATE = Estimate(
    policy=RoiPolicy(),
    crf=23,
    correction=-0.5,
    first=0,
    frames=48,
    whole_clip=True,
    sampled=False,
    plain_bytes=200_000,
    planned_bytes=198_000,
    plain_vmaf=90.0,
    planned_vmaf=90.25,
    vmaf_missing=None,
    seconds=1.0,
)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 40.0, float("nan")])
def test_shares_out_of_range(share: float) -> None:
    with pytest.raises(UsageError, match="salient_bits"):
        Dials(RoiPolicy(), share)


@pytest.mark.parametrize(("dial", "crf"), [(X264, -1), (X264, 51.5), (X264, float("nan")), (SVT, 64), (SVT, 30.5)])
def test_a_quality_that_the_encoder_refuses(dial: QualityDial, crf: float) -> None:
    with pytest.raises(UsageError, match="crf"):
        dial.check(crf)


def test_a_quality_that_the_encoder_accepts() -> None:
    for dial, crf in ((X264, 0), (X264, 22.75), (X264, None), (SVT, 30)):
        dial.check(crf)
    assert (X264.name, QualityDial("libkvazaar", None, 27, 0, 51, 1).name) == ("libx264 medium", "libkvazaar")


def policy_message(**more: object) -> str:
    return json.dumps(
        {"type": "policy", "offset": -2, "mapping": "attention", "aggregator": "mean", "ema_alpha": 0.6, "segments": "auto"} | more
    )


def test_a_policy_of_the_page() -> None:
    """What the page leaves out is that of the start, but a share is not: without one the offset counts."""
    start = Dials(RoiPolicy(max_background_offset=2.5), 0.4, 30)
    assert parse_command(policy_message(), start).dials == Dials(RoiPolicy(-2, max_background_offset=2.5), None, 30)
    sent = parse_command(policy_message(max_background_offset=1, salient_bits=0.35, crf=20.5), start).dials
    assert sent == Dials(RoiPolicy(-2, max_background_offset=1), 0.35, 20.5)


@pytest.mark.parametrize("name", ["offset", "ema_alpha", "max_background_offset", "salient_bits", "crf"])
@pytest.mark.parametrize("value", ["3", True, [1], 10**400, -(10**400)])
def test_a_dial_that_is_no_number(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}|too many digits"):
        parse_command(policy_message(**{name: value}))


def test_requests_of_the_page() -> None:
    assert parse_command('{"type": "measure", "what": "moment"}').measured == "moment"
    assert parse_command('{"type": "cancel"}').kind == "cancel"
    for text in ('{"type": "measure"}', '{"type": "measure", "what": "all"}', '{"type": "measure", "what": ["clip"]}'):
        with pytest.raises(ValueError, match="measurement"):
            parse_command(text)


def test_the_command_has_the_share_and_the_quality() -> None:
    clip = cast(Clip, SimpleNamespace(path=Path("in.mp4")))
    words = shlex.split(encode_command(clip, RoiPolicy(-4.4), [("--preset", "slow")], salient_bits=0.45, crf=20.5))
    assert words[6:] == ["--salient-bits", "45%", "--crf", "20.5", "--preset", "slow"]
    assert "--salient-bits" not in encode_command(clip, RoiPolicy(-4.4), [])


def share_plan(policy: RoiPolicy) -> RoiPlan:
    """The left half of 160x96 gets the offset, the right half its opposite."""
    grid = half_grid(160, 96, "left", round(policy.offset), -round(policy.offset))
    return make_plan([grid], [0], 10, 160, 96)


def salient_track() -> SaliencyTrack:
    """One map: the left half is salient."""
    return SaliencyTrack(
        saliency=np.where(half_grid(160, 96, "left", 1, 0) > 0, 255, 0).astype(np.uint8)[None],
        activity=np.full((1, 6, 10), 100, np.uint8),
        sample_frame=np.array([0]),
        motion=np.zeros(1, np.float32),
        frame_count=10,
    )


def test_the_offset_of_a_share() -> None:
    """A quarter of equal blocks with 2**(3/6) times the bits in the better half: 0.25 * 2 * 1.414 / (1.414 + 0.707)."""
    wanted = 0.25 * 2 * 2**0.5 / (2**0.5 + 2**-0.5)
    found = find_share(share_plan, salient_track(), RoiPolicy(), wanted)
    assert round(found.offset) == -3
    assert found.plain == pytest.approx(0.25)
    assert found.modelled == pytest.approx(wanted)


def test_a_share_out_of_reach() -> None:
    with pytest.raises(UsageError, match=r"cannot be reached: this clip allows 25\.0%"):
        find_share(share_plan, salient_track(), RoiPolicy(), 0.9)
    assert find_share(share_plan, salient_track(), RoiPolicy(), 0.9, nearest=True).offset == pytest.approx(-11.5, abs=0.5)
    assert find_share(share_plan, salient_track(), RoiPolicy(), 0.1, nearest=True).offset == 0


def test_the_share_of_a_plain_encode() -> None:
    plan = share_plan(RoiPolicy(-6))
    chosen = half_grid(160, 96, "left", 1, 0)[None] > 0
    assert plain_share_of(plan, chosen) == pytest.approx(0.5)
    assert share_of(plan, chosen) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("frame", "total", "window"),
    [
        (500, 1000, Window(476 - LEAD_FRAMES, 476, 524, 524 + LOOKAHEAD_FRAMES)),
        (0, 1000, Window(0, 0, 48, 48 + LOOKAHEAD_FRAMES)),
        (30, 1000, Window(0, 6, 54, 54 + LOOKAHEAD_FRAMES)),
        (999, 1000, Window(952 - LEAD_FRAMES, 952, 1000, 1000)),
        (5, 20, Window(0, 0, 20, 20)),
        (0, 1, Window(0, 0, 1, 1)),
    ],
)
def test_the_window_around_a_frame(frame: int, total: int, window: Window) -> None:
    assert window_around(frame, total, Fraction(24)) == window


def test_bytes_of_measured_frames() -> None:
    """The key frame before a window's lead is no part of it."""
    assert measured_bytes([(1000, 300)], [Window(0, 0, 48, 88)]) == 1300
    assert measured_bytes([(1000, 300)], [Window(10, 34, 82, 120)]) == 300


def test_the_text_of_results() -> None:
    assert ESTIMATE.line() == "whole clip, crf 23: plain 200.0 kB, VMAF 90.00; planned 198.0 kB (-1.0%), VMAF 90.25"
    assert FoundStrength(-4.5, 0.2, 23, 6).line() == "offset -4.5 at crf 23: +0.20 VMAF of the whole frame at equal size"
    assert FoundStrength(0.0, 0.0, 23, 6).line().startswith("offset 0 (plain)")
    message = measurement_message(Measurement(1, "clip", "done", result=ESTIMATE), lambda name, _: name)
    assert message["estimate"]["size_change"] == pytest.approx(-0.01)
    assert message["estimate"]["extent"] == "whole clip"
    assert message["strength"] is None


class HeldEstimator:
    """An estimator of which each call waits until the test lets it go on, or cancels it."""

    quality = X264

    def __init__(self) -> None:
        self.started: list[tuple[str, float | None, int | None]] = []
        self.ended: list[str] = []
        self.gate = threading.Event()
        self.error: Exception | None = None

    def _hold(self, what: str, crf: float | None, frame: int | None, observer: Observer) -> None:
        self.started.append((what, crf, frame))
        try:
            with observer.stage("held") as advance:
                while not self.gate.wait(0.01):
                    advance(1, 10)
            if self.error is not None:
                raise self.error
        finally:
            self.ended.append(what)

    def estimate(self, _: Sidecar, __: RoiPolicy, crf: float | None, frame: int | None, observer: Observer) -> Estimate:
        self._hold("estimate", crf, frame, observer)
        return ESTIMATE

    def compare(self, _: Sidecar, __: RoiPolicy, crf: float | None, frame: int, draw: Draw, observer: Observer) -> Comparison:
        self._hold("compare", crf, frame, observer)
        raise AssertionError(draw)

    def find_strength(self, _: Sidecar, __: RoiPolicy, crf: float | None, observer: Observer) -> FoundStrength:
        self._hold("strength", crf, None, observer)
        return FoundStrength(-4.0, 0.1, 23, 4)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def start(measuring: Measuring, kind: str, frame: int = 7) -> None:
    measuring.start(kind, cast(Any, None), RoiPolicy(), 23, frame)


def wait_for(measuring: Measuring, state: str) -> Measurement:
    wait_until(lambda: measuring.state is not None and measuring.state.state == state, f"the state {state}")
    assert measuring.state is not None
    return measuring.state


def test_progress_and_result_of_trial_encodes(pool: ThreadPoolExecutor) -> None:
    estimator = HeldEstimator()
    measuring = Measuring(estimator, pool)
    assert measuring.state is None
    start(measuring, "moment")
    wait_until(lambda: measuring.state is not None and measuring.state.progress is not None, "progress")
    state = measuring.state
    assert state is not None
    assert state.progress is not None
    assert (state.kind, state.state, state.progress.stage) == ("moment", "running", "held")
    estimator.gate.set()
    done = wait_for(measuring, "done")
    assert done.result is ESTIMATE
    assert done.number > state.number
    start(measuring, "clip")
    start_of_auto = wait_for(measuring, "done").number
    start(measuring, "auto")
    wait_until(lambda: measuring.state is not None and isinstance(measuring.state.result, FoundStrength), "the strength")
    assert measuring.state.number > start_of_auto
    assert estimator.started == [("estimate", 23, 7), ("estimate", 23, None), ("strength", 23, None)]


def test_cancelled_trial_encodes_give_no_result(pool: ThreadPoolExecutor) -> None:
    estimator = HeldEstimator()
    measuring = Measuring(estimator, pool)
    start(measuring, "clip")
    wait_for(measuring, "running")
    measuring.cancel()
    assert wait_for(measuring, "cancelled").result is None
    wait_until(lambda: estimator.ended == ["estimate"], "the end of the trial encode")
    measuring.cancel()  # has no effect
    start(measuring, "clip")
    estimator.gate.set()
    assert wait_for(measuring, "done").result is ESTIMATE


def test_a_new_request_replaces_the_old_one(pool: ThreadPoolExecutor) -> None:
    estimator = HeldEstimator()
    measuring = Measuring(estimator, pool)
    start(measuring, "clip")
    wait_for(measuring, "running")
    start(measuring, "auto")
    wait_until(lambda: [what for what, _, _ in estimator.started] == ["estimate", "strength"], "the second request")
    estimator.gate.set()
    assert isinstance(wait_for(measuring, "done").result, FoundStrength)


def test_viewers_take_turns(pool: ThreadPoolExecutor) -> None:
    estimator = HeldEstimator()
    first, second = Measuring(estimator, pool), Measuring(estimator, pool)
    start(first, "clip")
    wait_for(first, "running")
    start(second, "clip")
    assert wait_for(second, "waiting").progress is None
    second.cancel()
    assert wait_for(second, "cancelled").result is None
    estimator.gate.set()
    wait_for(first, "done")
    pool.submit(lambda: None).result(HANG_SECONDS)
    assert len(estimator.started) == 1, "a cancelled request does not start"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EncodeError("failed", setting="crf", value=23, cure="try again"), "--crf 23: failed (try again)"),
        (KeyError("x"), "a defect of this program: KeyError"),
    ],
)
def test_errors_of_trial_encodes(pool: ThreadPoolExecutor, error: Exception, words: str) -> None:
    estimator = HeldEstimator()
    estimator.error = error
    estimator.gate.set()
    measuring = Measuring(estimator, pool)
    start(measuring, "clip")
    state = wait_for(measuring, "failed")
    message = measurement_message(state, lambda name, value: f"--{name}" if value is None else f"--{name} {value}")
    assert message["error"].startswith(words)
