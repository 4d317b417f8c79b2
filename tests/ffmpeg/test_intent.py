"""``--target-vmaf``, ``--target-size``, ``--saliency-offset auto`` and ``--salient-bits``, from start to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clips import ffmpeg, make_clip
from packets import video_bytes
from plans import with_time_stamps
from program import Run, leftovers, run
from vmaf import vmaf

from gpu_saliency import EncodeSettings, prepare_encode, probe_clip
from gpu_saliency.doctor import make_test_clip
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.run import encode_part
from gpu_saliency.trial.scoring import choose_vmaf

VMAF_TOLERANCE = 0.5
"""Of the acceptance of ``--target-vmaf`` where the trials cover the clip."""
SIZE_TOLERANCE = {"whole": 0.02, "sampled": 0.1}
"""Of the file's size: half a step of CRF and the container; or two passes of x264 over 17 seconds."""
FAST = ("--preset", "veryfast", "--device", "cpu", "--prove", "none", "--json")


@pytest.fixture(scope="module")
def long_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """17 seconds, 12 frames a second, 320x192, of testsrc2's moving figures with a tone."""
    return make_clip(tmp_path_factory.mktemp("long") / "in.mp4", size="320x192", rate=12, seconds=17, audio=True)


def encode(source: Path, output: Path, *more: object) -> Run:
    return run("encode", "--src", source, "--output", output, *FAST, *more)


def succeed(source: Path, output: Path, *more: object) -> dict[str, Any]:
    done = encode(source, output, *more)
    assert done.code == 0, done.err
    return done.json


def test_the_vmaf_that_was_asked_for(grain_path: Path, tmp_path: Path) -> None:
    """Trials of a short clip predict what `score` then measures, exactly."""
    output = tmp_path / "out.mp4"
    result = succeed(grain_path, output, "--target-vmaf", 80)
    intent = result["intent"]
    assert intent["whole_clip"] is True
    assert (intent["frames"], intent["windows"]) == (48, 1)
    assert result["crf"] == intent["crf"] == result["roi"]["crf_used"]
    assert 2 <= len(intent["trials"]) <= 8
    assert {"crf": intent["crf"], "vmaf": intent["vmaf"]}.items() <= next(
        trial.items() for trial in intent["trials"] if trial["crf"] == intent["crf"]
    )
    measured = vmaf(grain_path, output)
    assert measured == pytest.approx(80, abs=VMAF_TOLERANCE)
    assert measured == pytest.approx(intent["vmaf"], abs=1e-3)
    assert leftovers(tmp_path, {"out.mp4", "out.mp4.saliency.npz"}) == set()


@pytest.mark.parametrize("encoder", ["libsvtav1", "libx264"])
def test_at_least(grain_path: Path, tmp_path: Path, encoder: str) -> None:
    """A scale of whole steps misses a target by up to half a step; the bound is kept with one step more quality."""
    preset = ("--encoder", encoder, "--preset", "12" if encoder == "libsvtav1" else "veryfast")
    result = succeed(grain_path, tmp_path / "out.mp4", "--target-vmaf", 82, "--at-least", *preset)
    intent = result["intent"]
    assert intent["vmaf"] >= 82
    worse = [trial["vmaf"] for trial in intent["trials"] if trial["crf"] > intent["crf"]]
    assert all(vmaf < 82 for vmaf in worse)
    if encoder == "libsvtav1":
        assert result["crf"] == int(result["crf"])


def test_a_dry_run_searches_too(grain_path: Path, tmp_path: Path) -> None:
    result = succeed(grain_path, tmp_path / "out.mp4", "--target-vmaf", 80, "--dry-run")
    assert f"-crf {result['intent']['crf']:g} " in result["commands"][0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_long_clip_is_sampled(long_path: Path, tmp_path: Path) -> None:
    """All stretches of this clip are alike, so that samples stand for all of it."""
    output = tmp_path / "out.mp4"
    result = succeed(long_path, output, "--target-vmaf", 85)
    intent = result["intent"]
    assert (intent["frames"], intent["windows"], intent["whole_clip"]) == (6 * 24, 6, False)
    assert intent["vmaf"] == pytest.approx(85, abs=VMAF_TOLERANCE)
    assert vmaf(long_path, output) == pytest.approx(85, abs=1)
    assert intent["video_bytes"] == pytest.approx(len(video_bytes(output)), rel=0.1)


def test_a_window_is_scored_as_its_own_clip(long_path: Path, tmp_path: Path) -> None:
    """ffmpeg seeks in the source to the frames of the window; a lossless cut of them gives the same score."""
    job = with_time_stamps(prepare_encode(probe_clip(long_path), EncodeSettings(preset="veryfast", crf=35)))
    part = Part(91, 120)
    encoded = encode_part(job, None, Part(80, 150), tmp_path)  # with frames around the window
    found = choose_vmaf(job, "target_vmaf", 90).score(job, part, encoded, lambda _done, _total: None, lead=11)
    cut = tmp_path / "cut.mkv"
    ffmpeg("-i", long_path, "-vf", "trim=start_frame=91:end_frame=120,setpts=N/12/TB", "-r", 12, "-an", "-c:v", "ffv1", cut)
    own = tmp_path / "own.mkv"
    ffmpeg("-i", encoded, "-vf", "trim=start_frame=11:end_frame=40,setpts=N/12/TB", "-r", 12, "-c:v", "ffv1", own)
    assert found == pytest.approx(vmaf(cut, own), abs=1e-3)


def test_a_vmaf_out_of_reach(grain_path: Path, tmp_path: Path) -> None:
    """The encoder may not use a finer quantiser, whatever its CRF."""
    limits = ("--encoder-params", "qpmin=40", "--target-vmaf", 95)
    done = encode(grain_path, tmp_path / "out.mp4", *limits)
    assert done.code == 64, done.err
    assert len(done.errors) == 1
    assert "--target-vmaf 95: cannot be reached with libx264: the best quality tried, CRF " in done.errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_the_size_of_a_short_clip(grain_path: Path, tmp_path: Path, encoder: str) -> None:
    """The audio counts; the tone has about 17 kB."""
    output = tmp_path / "out.mp4"
    result = succeed(grain_path, output, "--target-size", "200k", "--encoder", encoder)
    intent = result["intent"]
    assert result["output"]["size_bytes"] == output.stat().st_size == pytest.approx(200_000, rel=SIZE_TOLERANCE["whole"])
    assert intent["size_bytes"] == pytest.approx(output.stat().st_size, rel=0.02)
    assert (intent["target_size"], intent["bitrate"]) == (200_000, None)
    assert all(trial["vmaf"] is None for trial in intent["trials"])
    assert intent["vmaf_model"] is None


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_size_of_a_long_clip_takes_two_passes(long_path: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    result = succeed(long_path, output, "--target-size", "400k")
    assert (result["crf"], result["intent"]["crf"], result["intent"]["trials"]) == (None, None, [])
    assert result["bitrate"] == result["intent"]["bitrate"]
    assert output.stat().st_size == pytest.approx(400_000, rel=SIZE_TOLERANCE["sampled"])


def test_a_long_clip_without_two_passes_is_sampled(long_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    result = succeed(long_path, output, "--target-size", "400k", "--encoder", "libsvtav1", "--preset", "12")
    assert (result["bitrate"], result["intent"]["windows"]) == (None, 6)
    assert output.stat().st_size == pytest.approx(400_000, rel=0.2)  # of samples, by an encoder of whole steps


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("15k", "leaves too little for the video: audio takes 1"),
        ("22500", "cannot be reached with libx264: the worst quality tried, CRF 51, takes "),
    ],
)
def test_a_size_out_of_reach(grain_path: Path, tmp_path: Path, size: str, words: str) -> None:
    done = encode(grain_path, tmp_path / "out.mp4", "--target-size", size)
    assert done.code == 64, done.err
    assert words in done.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_the_strength_that_costs_nothing_is_found_once(grain_path: Path, tmp_path: Path) -> None:
    sidecar = ("--sidecar", tmp_path / "s.npz", "--crf", 35)
    first = succeed(grain_path, tmp_path / "1.mp4", "--saliency-offset", "auto", *sidecar)
    intent = first["intent"]
    assert intent["offset_reused"] is False
    assert -6 <= intent["offset"] <= 0
    assert intent["offset"] == first["roi"]["offset"]
    assert intent["vmaf_gain"] >= 0
    plain = [trial for trial in intent["trials"] if trial["offset"] is None]
    assert plain[0]["crf"] == intent["offset_crf"] == 35
    assert len(plain) == 2

    again = succeed(grain_path, tmp_path / "2.mp4", "--saliency-offset", "auto", *sidecar)["intent"]
    assert (again["offset_reused"], again["trials"], again["offset"]) == (True, [], intent["offset"])
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "2.mp4").read_bytes()

    loose = ("--saliency-offset", "auto", "--max-vmaf-loss", 2)
    other = succeed(grain_path, tmp_path / "3.mp4", *loose, *sidecar)["intent"]
    assert other["offset_reused"] is False
    assert other["offset"] <= intent["offset"]
    assert other["vmaf_gain"] >= -2


def test_an_encode_of_a_found_strength_can_be_inspected(grain_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    succeed(grain_path, output, "--salient-bits", "30%")
    done = run("inspect", output, "--src", grain_path, "--json")
    assert done.code == 0, done.err


def test_the_share_of_the_bits(grain_path: Path, tmp_path: Path) -> None:
    """The plan has the modelled share, and for H.264 the proof reads the realised one."""
    proven = ("--preset", "medium", "--prove", "full", "--crf", 28)
    result = succeed(grain_path, tmp_path / "out.mp4", "--salient-bits", "35%", *proven)
    intent = result["intent"]
    assert intent["plain_share"] < 0.35
    assert intent["modelled_share"] == pytest.approx(0.35, abs=0.01)
    assert result["roi"]["offset"] == intent["offset"] < 0
    assert intent["trials"] == []
    assert intent["realised_share_modelled"] == pytest.approx(intent["modelled_share"], abs=1e-3)
    assert intent["realised_share"] == pytest.approx(intent["modelled_share"], abs=0.03)


def test_a_share_out_of_reach(grain_path: Path, tmp_path: Path) -> None:
    for share in ("2%", "99%"):
        done = encode(grain_path, tmp_path / "out.mp4", "--salient-bits", share)
        assert done.code == 64, done.err
        assert len(done.errors) == 1
        assert "cannot be reached: this clip allows " in done.errors[0]
        assert list(tmp_path.iterdir()) == []


def test_strength_and_quality_can_be_asked_for_together(grain_path: Path, tmp_path: Path) -> None:
    result = succeed(grain_path, tmp_path / "out.mp4", "--salient-bits", "30%", "--target-vmaf", 80)
    assert result["intent"]["vmaf"] == pytest.approx(80, abs=VMAF_TOLERANCE)
    assert {trial["offset"] for trial in result["intent"]["trials"]} == {result["roi"]["offset"]}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--target-vmaf", 90, "--crf", 20), "--target-vmaf and --crf cannot be combined (give one of them)"),
        (("--target-size", "1M", "--bitrate", "1M"), "--target-size and --bitrate cannot be combined"),
        (("--target-size", "1M", "--target-vmaf", 90), "--target-vmaf and --target-size cannot be combined"),
        (("--saliency-offset", "auto", "--salient-bits", "40%"), "--salient-bits and --saliency-offset auto cannot be combined"),
        (("--saliency-offset", -5, "--salient-bits", "40%"), "--salient-bits and --saliency-offset cannot be combined"),
        (("--saliency-offset", "auto", "--bitrate", "1M"), "--saliency-offset auto: is found at constant quality"),
        (("--saliency-offset", "some"), "--saliency-offset some: is not a number (give a number from -12 to 12, or auto)"),
        (("--max-vmaf-loss", 1), "--max-vmaf-loss: applies to --saliency-offset auto only"),
        (("--at-least",), "--at-least: applies to --target-vmaf only"),
        (("--target-vmaf", 101), "--target-vmaf 101: out of range (1 to 100)"),
        (("--target-size", "big"), "--target-size big: is not a size (give bytes, such as 10M or 700MiB)"),
        (
            ("--target-vmaf", 90, "--encoder", "mpeg4", "--saliency-fallback-plain"),
            "--target-vmaf: needs an ROI channel, and mpeg4 has none (use an encoder that has one, or give --crf)",
        ),
    ],
)
def test_contradictions(grain_path: Path, tmp_path: Path, flags: tuple[object, ...], words: str) -> None:
    more = () if "--encoder" in flags else ("--preset", "veryfast")
    done = run("encode", "--src", grain_path, "--output", tmp_path / "out.mp4", "--device", "cpu", *more, *flags)
    assert done.code == 64, done.err
    assert len(done.errors) == 1
    assert words in done.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_other_commands_take_no_auto(grain_path: Path, tmp_path: Path) -> None:
    done = run("plan", "--src", grain_path, "--output", tmp_path / "s.npz", "--saliency-offset", "auto")
    assert done.code == 64
    assert "--saliency-offset auto: needs trial encodes, which this command does not make" in done.errors[0]


def test_a_picture_too_small_for_vmaf(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4")
    done = run("encode", "--src", tmp_path / "in.mp4", "--output", tmp_path / "out.mp4", "--device", "cpu", "--target-vmaf", 90)
    assert done.code == 64
    assert "--target-vmaf 90: needs VMAF: 160x96 is too small for it" in done.errors[0]
    assert leftovers(tmp_path, {"in.mp4"}) <= {"out.mp4.saliency.npz"}


def test_a_raw_clip_has_no_time_stamps(tmp_path: Path) -> None:
    make_test_clip(tmp_path / "in.yuv")
    raw = ("--width", 320, "--height", 192, "--framerate", 24)
    result = succeed(tmp_path / "in.yuv", tmp_path / "out.mp4", *raw, "--target-vmaf", 80)
    assert result["intent"]["vmaf"] == pytest.approx(80, abs=VMAF_TOLERANCE)
