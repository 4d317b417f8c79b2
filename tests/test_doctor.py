"""The doctor reports what it saw happen, and does not believe an ffmpeg that ignores regions."""

from __future__ import annotations

from pathlib import Path

from bad_input import stub_ffmpeg
from support import FFMPEG, run


def test_a_healthy_machine() -> None:
    done = run("doctor", "--ffmpeg-bin", FFMPEG, "--json")
    assert done.code == 0, done.out
    found = done.json
    assert {name: result["moved"] for name, result in found["encoders"].items()} == {"libx264": True, "libx265": True}
    assert found["runtime"]["providers"][-1] == "CPUExecutionProvider"
    assert "bundled" in [ffmpeg["origin"] for ffmpeg in found["ffmpeg"]]
    assert "libx264" in run("doctor", "--ffmpeg-bin", FFMPEG).out


def test_an_ffmpeg_that_ignores_regions(tmp_path: Path) -> None:
    stub = stub_ffmpeg(tmp_path, "i = a.index('-/filter:v') if '-/filter:v' in a else None\nif i: del a[i:i+2]\nreal()")
    done = run("doctor", "--ffmpeg-bin", stub, "--json")
    assert done.code == 69
    assert [result["moved"] for result in done.json["encoders"].values()] == [False, False]


def test_an_ffmpeg_without_an_encoder(tmp_path: Path) -> None:
    stub = tmp_path / "ffmpeg-stub"
    stub.write_text(f'#!/bin/sh\n"{FFMPEG}" "$@" | grep -v libx265\n')
    stub.chmod(0o755)
    done = run("doctor", "--ffmpeg-bin", stub, "--json")
    assert done.code == 69
    assert done.json["encoders"]["libx264"]["moved"] is True
    assert "has no libx265" in done.json["encoders"]["libx265"]["error"]
