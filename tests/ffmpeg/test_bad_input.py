"""Each bad input ends with one error line and its exit code, and leaves no file behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import CASES, Case, save_model, stub_ffmpeg
from bad_maps import CASES as MAP_CASES
from clips import ffmpeg, make_clip
from program import leftovers, run
from waiting import HANG_SECONDS, wait_until


@pytest.mark.parametrize("case", [*CASES, *MAP_CASES], ids=lambda case: case.name)
def test_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    folder = tmp_path / "work"
    folder.mkdir()
    arguments = case.arguments(folder)
    before = {path.name for path in folder.iterdir()}
    done = run("encode", *arguments, "--json")
    assert done.code == case.code, done.err
    assert len(done.errors) == 1, done.err
    assert case.words in done.errors[0]
    assert "Traceback" not in done.err
    error = done.json["error"]
    assert (error["exit_code"], error["message"] in done.errors[0]) == (case.code, True)
    assert leftovers(folder, before) == set()
    assert leftovers(temporary, set()) == set()


MISSION = ["libx264", "libx265", "libaom-av1", "libsvtav1", "libvvenc"]


def test_an_unsupported_encoder_lists_the_supported_ones(tmp_path: Path) -> None:
    done = run("encode", "--src", make_clip(tmp_path / "in.mp4"), "--output", tmp_path / "o.mp4", "--encoder", "mpeg4", "--json")
    assert done.code == 2
    assert done.json["error"]["kind"] == "unsupported-encoder"
    assert done.json["error"]["supported_encoders"][:5] == MISSION


def test_the_last_lines_of_ffmpeg_are_shown(tmp_path: Path) -> None:
    stub = stub_ffmpeg(tmp_path, "sys.stderr.write('first\\nsecond\\nthird\\n'); sys.exit(3)")
    clip = make_clip(tmp_path / "in.mp4", seconds=0.25)
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mp4", "--ffmpeg-bin", stub, "--json")
    assert done.json["error"]["ffmpeg_last_words"] == ["first", "second", "third"]
    assert "second" in done.err


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_an_ffmpeg_that_ignores_the_regions_fails_the_proof(tmp_path: Path, encoder: str) -> None:
    """Both halves are a detailed fractal, the left one bright, which the test's model rates salient; the stub drops the graph."""
    bright, dark = (
        f"mandelbrot=size=160x160:rate=24:start_scale=0.4,trim=end_frame=24,noise=alls=12:allf=t,format=yuv420p,lutyuv=y=val/2+{low}"
        for low in (120, 0)
    )
    clip = tmp_path / "in.mp4"
    ffmpeg("-f", "lavfi", "-i", bright, "-f", "lavfi", "-i", dark, "-filter_complex", "hstack", "-crf", 14, clip)
    model = save_model(tmp_path / "model.onnx", scale=1.0)
    base = ["encode", "--src", clip, "--encoder", encoder, "--preset", "veryfast", "--saliency-model", model, "--json"]
    honest = run(*base, "--output", tmp_path / "honest.mp4")
    assert honest.code == 0, honest.err
    assert honest.json["proof"]["moved"] is True
    stub = stub_ffmpeg(tmp_path, "i = a.index('-/filter:v') if '-/filter:v' in a else None\nif i: del a[i:i+2]\nreal()")
    caught = run(*base, "--output", tmp_path / "caught.mp4", "--ffmpeg-bin", stub)
    assert caught.code == 74
    assert "did not follow the ROI plan" in caught.errors[0]
    assert not list(tmp_path.glob("*caught*"))


def endless_encode(folder: Path) -> Path:
    """An ffmpeg whose encodes never end: it runs the bundled one with the input repeated without limit."""
    return stub_ffmpeg(folder, "i = a.index('-i')\na[i:i] = ['-stream_loop', '-1']\nreal()")


@pytest.mark.parametrize("stage", ["analysis", "encode"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, number: signal.Signals, stage: str) -> None:
    """The signal comes when an analysis of minutes has counted its first frames, or when an endless encode has written bytes."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    clip = make_clip(tmp_path / "second.mkv", size="64x48")
    arguments: list[object] = ["--every", 1000, "--ffmpeg-bin", endless_encode(tmp_path)]
    if stage == "analysis":
        second, clip = clip, tmp_path / "long.mkv"
        ffmpeg("-stream_loop", 599, "-i", second, "-c", "copy", clip)
        arguments = ["--every", 1]
    command = [sys.executable, "-m", "gpu_saliency", "encode", "--src", clip, "--output", work / "out.mkv", *arguments]
    log = tmp_path / "stderr.txt"
    # The progress bar is shown though stderr is a file.
    environment = os.environ | {"TMPDIR": str(temporary), "FORCE_COLOR": "1", "TERM": "xterm"}
    with log.open("w") as stderr, subprocess.Popen(list(map(str, command)), stderr=stderr, env=environment) as process:
        try:

            def begun() -> bool:
                if stage == "analysis":
                    return re.search(r"finding saliency.*[1-9]\d*/\d+", log.read_text()) is not None
                return any(path.stat().st_size for path in work.rglob("part*"))

            wait_until(begun, f"the {stage} begins", alive=lambda: process.poll() is None)
            process.send_signal(number)
            process.wait(HANG_SECONDS)
        finally:
            process.kill()
    err = log.read_text()
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert list(work.iterdir()) == []
    assert list(temporary.iterdir()) == []
