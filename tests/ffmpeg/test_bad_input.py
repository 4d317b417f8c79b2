"""Each bad input ends in one clear line, its exit code, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_input import CASES, Case, save_model, stub_ffmpeg
from support import ffmpeg, leftovers, make_clip, run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
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


def test_an_unsupported_encoder_says_which_are_supported(tmp_path: Path) -> None:
    done = run("encode", "--src", make_clip(tmp_path / "in.mp4"), "--output", tmp_path / "o.mp4", "--encoder", "mpeg4", "--json")
    assert done.code == 2
    assert done.json["error"]["kind"] == "unsupported-encoder"
    assert done.json["error"]["supported_encoders"][:5] == MISSION


def test_last_words_of_ffmpeg_are_shown(tmp_path: Path) -> None:
    stub = stub_ffmpeg(tmp_path, "sys.stderr.write('first\\nsecond\\nthird\\n'); sys.exit(3)")
    clip = make_clip(tmp_path / "in.mp4", seconds=0.25)
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mp4", "--ffmpeg-bin", stub, "--json")
    assert done.json["error"]["ffmpeg_last_words"] == ["first", "second", "third"]
    assert "second" in done.err


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_an_ffmpeg_that_ignores_the_regions_is_found_out(tmp_path: Path, encoder: str) -> None:
    """Left half bright, which the hand-made model calls salient, right half dark, both a busy fractal; the stub drops the graph."""
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


@pytest.mark.parametrize("stage", ["analysis", "encode"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, number: signal.Signals, stage: str) -> None:
    """A source that takes long; the signal comes while it is decoded, or when ffmpeg has begun (its temporary output has bytes)."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    size, seconds = ("1280x720", 20) if stage == "analysis" else ("640x360", 8)
    clip = make_clip(tmp_path / "in.mkv", size=size, seconds=seconds)
    arguments = ["encode", "--src", clip, "--output", work / "out.mkv", "--preset", "veryslow" if stage == "encode" else "medium"]
    every = ["--every", "1"] if stage == "analysis" else ["--every", "1000"]
    command = [sys.executable, "-m", "gpu_saliency", *map(str, arguments), *every]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        begun = any(work.iterdir()) and "ffmpeg" in _children(process.pid)
        if stage == "encode" and begun:
            break
        if stage == "analysis" and "libav" in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(1.5)
            break
        time.sleep(0.02)
    assert process.poll() is None, "it was over before it could be interrupted"
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert list(work.iterdir()) == []
    assert list(temporary.iterdir()) == []


def _children(pid: int) -> str:
    """Command lines of the processes that ``pid`` has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                found.append(Path(f"/proc/{child}/cmdline").read_text())
            except OSError:  # it is over
                continue
    return " ".join(found)
