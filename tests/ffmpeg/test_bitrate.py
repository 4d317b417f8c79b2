"""``--bitrate``: the file has the requested bit rate, with a plan and without, and the encode still follows the plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ffmpeg
from packets import video_bytes
from program import run

from gpu_saliency.doctor import make_test_clip

RATE = 600_000


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 320x192, of a drifting texture under fine grain."""
    folder = tmp_path_factory.mktemp("clip")
    make_test_clip(folder / "raw.yuv")
    ffmpeg("-f", "rawvideo", "-video_size", "320x192", "-framerate", 24, "-i", folder / "raw.yuv", "-crf", 8, folder / "in.mp4")
    return folder / "in.mp4"


@pytest.mark.parametrize(
    ("encoder", "preset", "seconds", "tolerance"),
    [
        ("libx264", "veryfast", 2, 0.1),
        ("libx265", "veryfast", 2, 0.15),
        # These two fall short of it on a clip this short, even without a plan.
        ("libaom-av1", "8", 2, 0.6),
        ("libvvenc", "faster", 1, 0.4),
        # With one pass an encoder learns the clip as it goes; two seconds are short for that.
        ("libsvtav1", "12", 2, 0.35),
        ("libvpx-vp9", "8", 2, 0.35),
    ],
)
def test_the_file_has_the_requested_bit_rate(
    clip_path: Path, tmp_path: Path, encoder: str, preset: str, seconds: int, tolerance: float
) -> None:
    output = tmp_path / "out.mp4"
    wanted = ("--encoder", encoder, "--preset", preset, "--bitrate", "600k", "--duration", seconds, "--prove", "full", "--json")
    done = run("encode", "--src", clip_path, "--output", output, *wanted)
    assert done.code == 0, done.err
    assert (done.json["crf"], done.json["bitrate"]) == (None, RATE)
    assert len(video_bytes(output)) * 8 / seconds == pytest.approx(RATE, rel=tolerance)
    assert done.json["proof"]["moved"] is not False
    # The plain encode of the proof has the same target, so that neither gains by its size.
    assert done.json["proof"]["size_ratio"] == pytest.approx(1, abs=max(tolerance, 0.25))


@pytest.mark.parametrize(("encoder", "word"), [("libx264", "-pass 2"), ("libx265", "pass=2"), ("libvvenc", "-pass 2")])
def test_two_passes_where_the_encoder_has_them(clip_path: Path, tmp_path: Path, encoder: str, word: str) -> None:
    wanted = ("--encoder", encoder, "--bitrate", "1M", "--dry-run", "--json")
    done = run("encode", "--src", clip_path, "--output", tmp_path / "out.mp4", *wanted)
    assert done.code == 0, done.err
    first, second = done.json["commands"]
    assert word.replace("2", "1") in first
    assert word in second
    assert all(" -crf " not in command and " -qp " not in command for command in done.json["commands"])


def test_settings_that_contradict_a_bit_rate(clip_path: Path, tmp_path: Path) -> None:
    kvazaar = ("--encoder", "libkvazaar", "--roi-channel", "kvazaar-roi")
    for flags, code, words in (
        (("--bitrate", "1M", "--crf", 20), 64, "--bitrate and --crf cannot be combined"),
        (("--bitrate", "20"), 64, "out of range"),
        (("--bitrate", "much"), 64, "is not a bit rate"),
        (("--bitrate", "1M", *kvazaar), 64, "with a bit rate its rate control sets QP itself (use --crf)"),
    ):
        done = run("encode", "--src", clip_path, "--output", tmp_path / "out.mp4", *flags)
        assert done.code == code, done.err
        assert len(done.errors) == 1
        assert words in done.errors[0]
        assert list(tmp_path.iterdir()) == []
