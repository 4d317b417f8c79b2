"""The device ``cuda`` on the stand-in driver against the CPU: frames, samples, time stamps, cuts and maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gpu_standin.control import Driver
from standin_clips import CUT, X264, StandinClip, differences, make_standin_clip

from gpu_saliency.analysis.cuda.decode import setup
from gpu_saliency.analysis.cuda.decode.idle import release_idle
from gpu_saliency.analysis.device import AnalysisResult
from gpu_saliency.analysis.track import decode_activity, decode_gaze

MEAN_CODES, MOST_CODES = 0.02, 4
"""Largest mean and single difference of a map's codes: the kernels and libswscale round differently when they shrink a picture."""


@pytest.fixture(scope="module")
def on_cpu(h264: StandinClip, model: Path) -> AnalysisResult:
    return h264.analyse(None, model)


def assert_like(found: AnalysisResult, expected: AnalysisResult) -> None:
    one, other = found.track, expected.track
    assert (one.frame_count, one.cuts, one.clock, one.time_base) == (other.frame_count, other.cuts, other.clock, other.time_base)
    np.testing.assert_array_equal(one.sample_frame, other.sample_frame)
    np.testing.assert_array_equal(one.frame_pts, other.frame_pts)
    assert found.variable_frame_rate == expected.variable_frame_rate
    assert found.shortfall == expected.shortfall
    assert one.gaze is not None
    assert other.gaze is not None
    for a, b in (
        (one.saliency.astype(float), other.saliency.astype(float)),
        (255 * decode_gaze(one.gaze), 255 * decode_gaze(other.gaze)),
        (255 * decode_activity(one.activity), 255 * decode_activity(other.activity)),
        (255 * one.motion, 255 * other.motion),
    ):
        assert np.abs(a - b).max() <= MOST_CODES
        assert np.abs(a - b).mean() <= MEAN_CODES


@pytest.mark.parametrize("decoders", ["1", "3", "auto", "cpu"])
def test_a_clip_is_analysed_as_on_the_cpu(
    driver: Driver, h264: StandinClip, model: Path, on_cpu: AnalysisResult, decoders: str
) -> None:
    found = h264.analyse(driver, model, decoders=decoders)
    assert found.track.cuts == (CUT,)
    assert found.facts["decoder"] == ("upload" if decoders == "cpu" else "nvdec")
    assert found.facts["decoders"] == (3 if decoders == "3" else 1)  # 80 frames are too few for more with auto
    assert_like(found, on_cpu)


@pytest.mark.parametrize("decoders", ["1", "3", "5"])
@pytest.mark.parametrize(("schedule", "seed"), [("late", 0), ("random", 1), ("random", 2), ("random", 3)])
def test_no_schedule_and_no_number_of_ranges_changes_a_bit(
    driver: Driver, h264: StandinClip, model: Path, whole: AnalysisResult, schedule: str, seed: int, decoders: str
) -> None:
    driver.schedule(schedule, seed)
    found = h264.analyse(driver, model, decoders=decoders)
    assert found.facts["decoders"] == int(decoders)
    assert differences(found, whole) == []


CODECS = {
    "open GOPs": ("h264", *X264, "-x264-params", "open-gop=1"),
    "HEVC 10 bit": ("hevc", "-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-g", 10, "-x265-params", "log-level=error:open-gop=1"),
    "VP9": ("vp9", "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-g", 10, "-deadline", "realtime", "-cpu-used", 8),
}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_codecs_and_containers(driver: Driver, tmp_path: Path, model: Path, name: str, container: str) -> None:
    if (name, container) == ("VP9", "ts"):
        pytest.skip("MPEG-TS has no VP9")
    codec, *options = CODECS[name]
    clip = make_standin_clip(tmp_path, *options, name=f"clip.{container}", size="162x92", frames=50)
    assert clip.clip.codec == codec
    found = clip.analyse(driver, model, decoders="3")
    assert (found.facts["decoder"], found.facts["decoders"]) == ("nvdec", 3)
    assert_like(found, clip.analyse(None, model))


def test_auto_takes_a_decoder_for_each_engine(
    driver: Driver, h264: StandinClip, model: Path, whole: AnalysisResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first GPU of the stand-in has three engines."""
    monkeypatch.setattr(setup, "_FRAMES_PER_DECODER", 20)
    found = h264.analyse(driver, model, decoders="auto")
    assert found.facts["decoders"] == 3
    assert differences(found, whole) == []


def test_two_gpus_share_a_clip(driver: Driver, h264: StandinClip, model: Path, whole: AnalysisResult) -> None:
    found = h264.analyse(driver, model, decoders="2", gpus=(0, 1))
    assert found.facts["gpus"] == ["0: Stand-in 0", "1: Stand-in 1"]
    assert differences(found, whole) == []


@pytest.mark.parametrize("name", ["open GOPs", "HEVC 10 bit"])
def test_decoders_are_used_again(driver: Driver, tmp_path: Path, model: Path, name: str) -> None:
    """By another clip of the same codec and size, from ranges whose decoders still had pictures."""
    _, *options = CODECS[name]
    clips = [make_standin_clip(tmp_path, *options, name=f"{frames}.mp4", size="162x92", frames=frames) for frames in (50, 60)]
    release_idle()
    expected = [clip.analyse(driver, model) for clip in clips]
    before = driver.counts()
    for clip, whole in zip(clips * 2, expected * 2, strict=True):
        assert differences(clip.analyse(driver, model, decoders="3"), whole) == []
    # The one decoder that was left, and one for each other lane that found a range to decode; PyNvVideoCodec asks for the caps when
    # it makes one.
    assert (driver.counts() - before).caps <= 2


def test_decoders_of_other_sizes_are_not_used_again(driver: Driver, tmp_path: Path, model: Path, h264: StandinClip) -> None:
    h264.analyse(driver, model)
    other = make_standin_clip(tmp_path, *X264, size="162x92", frames=40)
    before = driver.counts()
    assert_like(other.analyse(driver, model), other.analyse(None, model))
    assert (driver.counts() - before).caps == 1
