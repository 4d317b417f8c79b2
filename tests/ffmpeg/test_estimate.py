"""`ClipEstimator`: its numbers are those of the encode, of a short clip exactly; nothing is left in the temporary folder."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from clips import ffmpeg, make_clip
from packets import video_bytes
from program import run
from vmaf import vmaf

from gpu_saliency import EncodeSettings, RoiPolicy, Sidecar, load_saliency_sidecar, probe_clip
from gpu_saliency.errors import Interrupted, UnsupportedEncoderError, UsageError
from gpu_saliency.estimate import ClipEstimator
from gpu_saliency.preview.estimator import Estimate
from gpu_saliency.progress import Observer, Progress

FAST = EncodeSettings(preset="veryfast")
WORSE = RoiPolicy(-9, "symmetric")


@pytest.fixture(scope="module")
def sidecar(grain_path: Path) -> Sidecar:
    return load_saliency_sidecar(probe_clip(grain_path))[0]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, which must be empty after the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def make_encode(source: Path, output: Path, *more: object) -> None:
    done = run("encode", "--src", source, "--output", output, "--preset", "veryfast", "--prove", "none", *more)
    assert done.code == 0, done.err


@pytest.mark.parametrize(("policy", "crf"), [(RoiPolicy(), None), (RoiPolicy(-5), 35.0), (WORSE, None), (RoiPolicy(0), 30.0)])
def test_the_numbers_are_those_of_the_encode(
    grain_path: Path, sidecar: Sidecar, tmp_path: Path, temporary: Path, policy: RoiPolicy, crf: float | None
) -> None:
    found = ClipEstimator(probe_clip(grain_path), FAST).estimate(sidecar, policy, crf, None, Observer())
    quality = () if crf is None else ("--crf", crf)
    asked = ("--saliency-offset", policy.offset, "--roi-mapping", policy.mapping)
    make_encode(grain_path, tmp_path / "ours.mp4", *asked, *quality, "--no-audio")
    make_encode(grain_path, tmp_path / "plain.mp4", "--saliency-offset", 0, *quality, "--no-audio")
    assert found.planned_bytes == len(video_bytes(tmp_path / "ours.mp4"))
    assert found.plain_bytes == len(video_bytes(tmp_path / "plain.mp4"))
    assert found.planned_vmaf == pytest.approx(vmaf(grain_path, tmp_path / "ours.mp4"), abs=1e-3)
    assert found.plain_vmaf == pytest.approx(vmaf(grain_path, tmp_path / "plain.mp4"), abs=1e-3)
    assert (found.frames, found.whole_clip, found.sampled, found.first) == (48, True, False, 0)
    assert found.crf == (23 if crf is None else crf)
    assert (found.correction == 0) == (policy.offset == 0 or policy.mapping == "symmetric")
    assert list(temporary.iterdir()) == []


def stages(estimator: ClipEstimator, sidecar: Sidecar, policy: RoiPolicy, crf: float | None = None) -> tuple[list[str], Estimate]:
    """The stages that an estimate takes, in order, and its result."""
    seen: dict[str, None] = {}
    found = estimator.estimate(sidecar, policy, crf, None, Observer(lambda progress: seen.setdefault(progress.stage)))
    return list(seen), found


def test_only_what_has_changed_is_encoded_again(grain_path: Path, sidecar: Sidecar) -> None:
    estimator = ClipEstimator(probe_clip(grain_path), FAST)
    sample = "measuring the size on a sample"
    first = stages(estimator, sidecar, RoiPolicy())
    assert first[0] == ["preparing the encoder", sample, "trial 1: crf 23, plain", "trial 2: crf 23, offset -3"]
    assert stages(estimator, sidecar, RoiPolicy(max_background_offset=1))[0][1:] == [sample, "trial 1: crf 23, offset -3"]
    again = stages(estimator, sidecar, RoiPolicy())
    assert again[0] == ["preparing the encoder"]
    assert again[1].planned_bytes == first[1].planned_bytes
    assert len(stages(estimator, sidecar, RoiPolicy(), 30)[0]) == 4


def test_a_moment_has_the_size_and_quality_of_its_frames(tmp_path: Path) -> None:
    """Black, then moving figures: the two seconds around a late frame take far more bytes than those around an early one."""
    still = tmp_path / "in.mkv"
    figures = make_clip(tmp_path / "figures.mkv", size="320x192", seconds=4)
    black = "color=black:size=320x192:rate=24:duration=4,format=yuv420p"
    join = "[0:v]setsar=1[a];[1:v]setsar=1[b];[a][b]concat,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", black, "-i", figures, "-filter_complex", join, "-c:v", "libx264", "-crf", 8, still)
    clip = probe_clip(still)
    sidecar = load_saliency_sidecar(clip)[0]
    estimator = ClipEstimator(clip, FAST)
    early, late = (estimator.estimate(sidecar, RoiPolicy(), None, frame, Observer()) for frame in (40, 150))
    assert (early.first, early.frames, late.first, late.frames) == (16, 48, 126, 48)
    assert late.plain_bytes > 20 * early.plain_bytes
    assert (late.whole_clip, late.extent()) == (False, "frames 126 to 173")
    assert late.plain_vmaf is not None
    assert 50 < late.plain_vmaf <= 100
    whole = estimator.estimate(sidecar, RoiPolicy(), None, None, Observer())
    assert late.plain_bytes < whole.plain_bytes


@pytest.mark.slow
def test_a_long_clip_is_sampled(tmp_path: Path) -> None:
    """17 seconds, 12 frames a second; all stretches are alike."""
    path = make_clip(tmp_path / "long.mp4", size="320x192", rate=12, seconds=17)
    clip = probe_clip(path)
    found = ClipEstimator(clip, FAST).estimate(load_saliency_sidecar(clip)[0], RoiPolicy(), 35, None, Observer())
    assert (found.frames, found.sampled, found.whole_clip) == (6 * 24, True, True)
    make_encode(path, tmp_path / "ours.mp4", "--crf", 35)
    assert found.planned_bytes == pytest.approx(len(video_bytes(tmp_path / "ours.mp4")), rel=0.1)
    assert found.extent() == "clip by 144 sampled frames"


@pytest.mark.parametrize("stage", ["measuring", "trial 1", "trial 2"])
def test_a_cancelled_estimate_leaves_nothing(grain_path: Path, sidecar: Sidecar, temporary: Path, stage: str) -> None:
    cancel = threading.Event()

    def watch(progress: Progress) -> None:
        if progress.stage.startswith(stage) and progress.total is not None:
            cancel.set()

    def watch_sample(progress: Progress) -> None:
        if progress.stage.startswith(stage) and progress.done:
            cancel.set()

    observer = Observer(watch_sample if stage == "measuring" else watch, cancel=cancel)
    with pytest.raises(Interrupted):
        ClipEstimator(probe_clip(grain_path), FAST).estimate(sidecar, RoiPolicy(), 5, None, observer)
    assert list(temporary.iterdir()) == []
    assert str(temporary) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_a_small_picture_has_no_vmaf(tmp_path: Path) -> None:
    clip = probe_clip(make_clip(tmp_path / "small.mp4"))
    sidecar = load_saliency_sidecar(clip)[0]
    estimator = ClipEstimator(clip, FAST)
    found = estimator.estimate(sidecar, RoiPolicy(), None, None, Observer())
    assert (found.plain_vmaf, found.planned_vmaf) == (None, None)
    assert found.vmaf_missing is not None
    assert found.vmaf_missing.startswith("160x96 is too small for it")
    assert found.plain_bytes > 0
    assert found.line().endswith(f"; no VMAF: {found.vmaf_missing}")
    with pytest.raises(UsageError, match="needs VMAF: 160x96 is too small"):
        estimator.find_strength(sidecar, RoiPolicy(), None, Observer())


def test_the_strength_is_that_of_encode(grain_path: Path, sidecar: Sidecar, tmp_path: Path, temporary: Path) -> None:
    estimator = ClipEstimator(probe_clip(grain_path), FAST)
    found = estimator.find_strength(sidecar, RoiPolicy(-7), 35, Observer())
    encode = ("encode", "--src", grain_path, "--output", tmp_path / "o.mp4", "--dry-run", "--json")
    done = run(*encode, "--preset", "veryfast", "--crf", 35, "--saliency-offset", "auto")
    assert (found.offset, found.crf) == (done.json["intent"]["offset"], 35)
    assert found.gain == pytest.approx(done.json["intent"]["vmaf_gain"], abs=1e-4)
    assert found.trials == len(done.json["intent"]["trials"])
    assert estimator.find_strength(sidecar, RoiPolicy(-2), 35, Observer()).trials == 0, "it is known, whatever the offset"
    assert list(temporary.iterdir()) == []


def test_a_channel_with_a_grid_for_each_map(grain_path: Path, sidecar: Sidecar) -> None:
    estimator = ClipEstimator(probe_clip(grain_path), EncodeSettings(preset="veryfast", roi_channel="prefilter"))
    assert not estimator.per_map
    estimator.prepare()
    assert estimator.per_map
    assert estimator.estimate(sidecar, RoiPolicy(), None, None, Observer()).correction == 0


def test_encoders_without_a_channel_or_a_quality(grain_path: Path, sidecar: Sidecar) -> None:
    clip = probe_clip(grain_path)
    with pytest.raises(UnsupportedEncoderError):
        ClipEstimator(clip, EncodeSettings(encoder="mpeg4")).estimate(sidecar, RoiPolicy(), None, None, Observer())
    unknown = ClipEstimator(clip, EncodeSettings(encoder="mpeg4", roi_channel="prefilter"))
    assert unknown.quality.crf is None
    with pytest.raises(UsageError, match="crf: is needed for estimates with mpeg4"):
        unknown.estimate(sidecar, RoiPolicy(), None, None, Observer())


def test_the_allowed_loss_is_checked(grain_path: Path) -> None:
    with pytest.raises(UsageError, match="max_vmaf_loss=-1"):
        ClipEstimator(probe_clip(grain_path), FAST, max_vmaf_loss=-1)
