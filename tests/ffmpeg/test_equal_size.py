"""Encodes have the size of a plain encode at the same CRF: a sample corrects what the plan's model of the rate gets wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ffmpeg
from packets import video_bytes
from plans import half_grid, make_plan, with_time_stamps
from program import run

from gpu_saliency import EncodeSettings, prepare_encode, probe_clip, run_saliency_encode
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.run import encode_part, seek_time
from gpu_saliency.encode.sample import Sampler
from gpu_saliency.encode.workers import Workers


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of a fractal with grain, 320x192, with a key frame each second: every block has residual."""
    path = tmp_path_factory.mktemp("busy") / "in.mp4"
    source = "mandelbrot=size=320x192:rate=24:start_scale=0.4,trim=end_frame=120,noise=alls=5:allf=t,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", source, "-crf", 12, "-g", 24, path)
    return path


def size_of(job: EncodeJob, plan: object, path: Path) -> int:
    run_saliency_encode(job, plan, path)  # type: ignore[arg-type]
    return len(video_bytes(path))


@pytest.mark.parametrize(("encoder", "preset"), [("libx264", "medium"), ("libx265", "veryfast")])
@pytest.mark.parametrize("frames", [48, 120])
def test_a_sample_corrects_the_size(busy: Path, tmp_path: Path, encoder: str, preset: str, frames: int) -> None:
    """A plan that only improves makes the file larger; with the correction of its sample it is as large as the plain encode."""
    if frames < 120:
        ffmpeg("-i", busy, "-c", "copy", "-frames:v", frames, tmp_path / "short.mp4")
    clip = probe_clip(busy if frames == 120 else tmp_path / "short.mp4")
    job = with_time_stamps(prepare_encode(clip, EncodeSettings(encoder, preset, audio=False)))
    plan = make_plan([half_grid(320, 192, "left", -1, 0)], [0], frames, 320, 192)
    plain, ours = size_of(job, None, tmp_path / "plain.mp4"), size_of(job, plan, tmp_path / "ours.mp4")
    assert ours > 1.08 * plain
    with Workers(2) as workers:
        sample = Sampler(job, tmp_path, workers).measure(job, plan)
    assert sample.frames == (48 if frames == 48 else 92)
    assert sample.size_ratio == pytest.approx(ours / plain, abs=0.01 if frames == 48 else 0.06)
    corrected = size_of(job.corrected(sample.correction), plan, tmp_path / "corrected.mp4")
    assert corrected / plain == pytest.approx(1, abs=0.05)


def test_the_correction_of_an_encode(busy: Path, tmp_path: Path) -> None:
    """``encode`` reports the sample and the CRF that it used; ``--no-equal-size`` and ``symmetric`` use the user's CRF."""
    wanted = ("encode", "--src", busy, "--preset", "veryfast", "--sidecar", tmp_path / "s.npz", "--prove", "none", "--json")
    corrected = run(*wanted, "--output", tmp_path / "a.mp4").json
    sample = corrected["roi"]["size_sample"]
    assert corrected["roi"]["crf_used"] == pytest.approx(23 + sample["correction"])
    assert corrected["correction"] == sample["correction"]
    assert sample["frames"] == 92
    assert "sample" in corrected["seconds"]
    for options in (("--no-equal-size",), ("--roi-mapping", "symmetric"), ("--bitrate", "300k"), ("--saliency-offset", "0")):
        free = run(*wanted, "--output", tmp_path / f"{options[-1]}.mp4", *options).json
        assert free["roi"]["size_sample"] is None
        assert free["roi"]["crf_used"] in (23, None)


def test_a_window_begins_at_a_key_frame_of_the_source(busy: Path, tmp_path: Path) -> None:
    """Its encode is the same, frame for frame, as one that decodes the clip from its start."""
    job = with_time_stamps(prepare_encode(probe_clip(busy), EncodeSettings(preset="veryfast", audio=False)))
    assert seek_time(job, Part(0, 12)) is None
    assert seek_time(job, Part(48, 60)) == pytest.approx(2.0), "a key frame: no frame before it is decoded"
    assert seek_time(job, Part(50, 60)) == pytest.approx(50 / 24 - 1)
    for start in (48, 50):
        part = Part(start, start + 12)
        sought, counted = tmp_path / f"sought{start}", tmp_path / f"counted{start}"
        for folder in (sought, counted):
            folder.mkdir()
        untimed = prepare_encode(probe_clip(busy), EncodeSettings(preset="veryfast", audio=False))
        assert video_bytes(encode_part(job, None, part, sought)) == video_bytes(encode_part(untimed, None, part, counted))


@pytest.mark.parametrize("suffix", [".nut", ".ts", ".mkv"])
def test_a_clip_with_more_frames_than_its_rounded_duration_has_is_sampled_and_proven(suffix: str, tmp_path: Path) -> None:
    """FFmpeg estimates 11 frames from the duration of a NUT file of 12."""
    clip, output = tmp_path / f"clip{suffix}", tmp_path / "out.mkv"
    codec = ("-c:v", "mpeg2video") if suffix == ".ts" else ("-c:v", "ffv1", "-level", "3")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24:duration=0.5,noise=alls=12:allf=t", *codec, clip)
    done = run("encode", "--src", clip, "--output", output, "--preset", "ultrafast", "--json")
    assert done.code == 0
    assert done.json["output"]["frames"] == 12
    assert done.json["proof"]["frames"] == 12
