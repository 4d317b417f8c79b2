"""The limit of the peak rate in real encodes of a calm clip with a sudden burst of noise, by its packets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from clips import ffmpeg
from plans import swapping_plan, with_time_stamps
from program import run

from gpu_saliency import EncodeSettings, prepare_encode, probe_clip
from gpu_saliency.encode.channels import addroi
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.peak import PeakRate, Vbv, packet_bits
from gpu_saliency.encode.run import encode_part, run_saliency_encode

LIMIT = Vbv(150_000, 150_000)
FRAMES, RATE = 75, 25


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 frames of 160x96 at 25 fps: moving figures, with noise over them from frame 25 to 49."""
    path = tmp_path_factory.mktemp("burst") / "burst.mp4"
    noise = "noise=alls=60:allf=t:enable='between(n,25,49)'"
    ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=size=160x96:rate={RATE}:duration=3", "-vf", noise, "-crf", 5, "-pix_fmt", "yuv420p", path
    )
    return path


def job_of(path: Path, encoder: str, limit: Vbv | None = LIMIT, **settings: object) -> EncodeJob:
    peak = {} if limit is None else {"maxrate": limit.maxrate, "bufsize": limit.bufsize}
    return with_time_stamps(prepare_encode(probe_clip(path), EncodeSettings(encoder, "veryfast", **peak, **settings)))  # type: ignore[arg-type]


def peak_of(path: Path) -> PeakRate:
    bits = packet_bits(path)
    return LIMIT.check(bits, [i / RATE for i in range(len(bits))])


@pytest.mark.parametrize(("encoder", "crf"), [("libx264", 26), ("libx265", 28)])
def test_the_peak_is_kept_over_parts(burst: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, crf: int) -> None:
    """Without the limit a plain encode exceeds it. With it, neither a plain encode nor one by a plan in six parts does, some of
    which begin within the burst; the same parts, each from a full buffer, would."""
    (tmp_path / "plain").mkdir()
    whole = Part(0, FRAMES)
    free = encode_part(job_of(burst, encoder, None, crf=crf), None, whole, tmp_path / "plain")
    assert not peak_of(free).is_kept
    job = job_of(burst, encoder, crf=crf)
    assert peak_of(encode_part(job, None, whole, tmp_path / "plain")).is_kept
    plan = swapping_plan(FRAMES, 160, 96, 12)
    monkeypatch.setattr(addroi, "MAX_FILTERS", 8)
    encoded = run_saliency_encode(job, plan, tmp_path / "roi.mp4")
    assert encoded.parts > 3
    assert encoded.facts.peak is not None
    assert encoded.facts.peak == peak_of(tmp_path / "roi.mp4")
    assert encoded.facts.peak.is_kept, encoded.facts.peak.exceeded()
    assert not list(encoded.warnings())
    if encoder == "libx264":
        assert job.channel is not None
        bits = []
        for part in job.channel.split(plan):
            folder = tmp_path / str(part.start)
            folder.mkdir()
            bits += packet_bits(encode_part(job, plan, part, folder))
        assert not LIMIT.check(bits, [i / RATE for i in range(FRAMES)]).is_kept


def test_a_part_starts_with_the_buffer_of_the_one_before_it(burst: Path, tmp_path: Path) -> None:
    job = job_of(burst, "libx264", crf=26)
    first = encode_part(job, None, Part(0, 40), tmp_path)
    after = job.continued(first).vbv
    assert after == LIMIT.after(packet_bits(first), 1 / RATE)
    assert after.fullness < LIMIT.fullness
    unlimited = replace(job, vbv=None)
    assert unlimited.continued(first) is unlimited


def test_encode_reports_the_peak(burst: Path, tmp_path: Path) -> None:
    wanted = ("--src", burst, "--preset", "veryfast", "--crf", 26, "--maxrate", "150k", "--bufsize", "0.15M", "--json", "--quiet")
    done = run("encode", *wanted, "--output", tmp_path / "out.mkv")
    assert done.code == 0, done.err
    assert (done.json["maxrate"], done.json["bufsize"]) == (150_000, 150_000)
    peak = done.json["output"]["peak"]
    assert peak["underflow"] == peak["late_frames"] == 0
    assert 100_000 < peak["peak"] <= 300_000
    assert not [warning for warning in done.json["warnings"] if "peak" in warning]
    dry = run("encode", *wanted, "--output", tmp_path / "dry.mp4", "--dry-run")
    assert "-maxrate 150000 -bufsize 150000" in dry.json["commands"][0]
    assert "vbv-init=0.9" in dry.json["commands"][0]
    large = run("encode", *wanted[:4], *wanted[6:], "--output", tmp_path / "large.mp4", "--target-size", "1M")
    assert large.code == 64
    assert "bits per second of video, more than --maxrate 150000" in large.errors[0]


def test_an_encoder_without_a_buffer_is_told_a_lower_rate(burst: Path, tmp_path: Path) -> None:
    """SVT-AV1 knows no buffer and exceeds it; the encode is made again with a lower rate, and keeps the limit."""
    limit = Vbv(150_000, 20_000)
    settings = EncodeSettings("libsvtav1", "12", crf=20, roi_channel="prefilter", maxrate=limit.maxrate, bufsize=limit.bufsize)
    job = with_time_stamps(prepare_encode(probe_clip(burst), settings))
    plan = swapping_plan(FRAMES, 160, 96, 12)
    once = packet_bits(encode_part(job, plan, Part(0, FRAMES), tmp_path))
    assert not limit.check(once, [i / RATE for i in range(FRAMES)]).is_kept
    encoded = run_saliency_encode(job, plan, tmp_path / "out.mkv")
    assert encoded.facts.peak is not None
    assert encoded.facts.peak.is_kept
    assert not list(encoded.warnings())


def test_a_buffer_smaller_than_a_frame(burst: Path, tmp_path: Path) -> None:
    done = run("encode", "--src", burst, "--output", tmp_path / "out.mp4", "--maxrate", "1M", "--bufsize", "30k")
    assert done.code == 64
    assert "--bufsize 30000: holds less than a frame's share of --maxrate 1000000 (give 41k or more)" in done.errors[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".ts"])
def test_every_container_has_times_for_the_check(burst: Path, tmp_path: Path, suffix: str) -> None:
    """AVI states decode times only, Matroska rounded ones, MPEG-TS adds to each packet: all find what .mp4 does.

    One thread, because under a peak rate libx264 with several codes the same frames differently on a busy machine."""
    job = job_of(burst, "libx264", crf=26, threads=1)
    encoded = run_saliency_encode(job, swapping_plan(FRAMES, 160, 96, FRAMES), tmp_path / f"out{suffix}")
    peak = encoded.facts.peak
    assert peak is not None
    assert peak.is_kept
    plain = run_saliency_encode(job, swapping_plan(FRAMES, 160, 96, FRAMES), tmp_path / "out.mp4").facts.peak
    assert plain is not None
    assert peak.least_fullness == pytest.approx(plain.least_fullness, abs=0.02)
