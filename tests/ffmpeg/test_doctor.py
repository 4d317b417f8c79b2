"""The doctor reports what it saw happen, and does not believe an ffmpeg that ignores regions."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_input import stub_ffmpeg
from support import FFMPEG, run

from gpu_saliency.encode.encoders import ENCODERS, HARDWARE, SOFTWARE

NAMES = [spec.name for spec in SOFTWARE]


def test_a_healthy_machine() -> None:
    """All encoders that need no device move bits; those that do are tried too, and say why not."""
    done = run("doctor", "--ffmpeg-bin", FFMPEG, "--json")
    assert done.code == 0, done.out
    found = done.json["encoders"]
    assert list(found) == list(ENCODERS)
    assert {name: found[name]["moved"] for name in NAMES} == dict.fromkeys(NAMES, True)
    for spec in HARDWARE:
        assert found[spec.name]["moved"] is True or found[spec.name]["error"]
    assert done.json["runtime"]["providers"][-1] == "CPUExecutionProvider"
    assert "bundled" in [ffmpeg["origin"] for ffmpeg in done.json["ffmpeg"]]


def test_the_terminal_names_channel_and_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_SALIENCY_SVTAV1ENCAPP", "/no/such/app")
    out = run("doctor", "--ffmpeg-bin", FFMPEG).out
    line = next(line for line in out.splitlines() if line.startswith("libsvtav1"))
    assert "prefilter (not svtav1-map: GPU_SALIENCY_SVTAV1ENCAPP=/no/such/app: no such program)" in line
    assert "Bits moved as planned" in line


def test_an_ffmpeg_that_ignores_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stub that leaves the filters out, which is what an encoder without a channel comes to."""
    monkeypatch.setenv("GPU_SALIENCY_SVTAV1ENCAPP", "/no/such/app")
    stub = stub_ffmpeg(tmp_path, "i = a.index('-/filter:v') if '-/filter:v' in a else None\nif i: del a[i:i+2]\nreal()")
    done = run("doctor", "--ffmpeg-bin", stub, "--json")
    assert done.code == 69
    found = done.json["encoders"]
    # Kvazaar's offsets come by a file of its own and not by the filters.
    assert [name for name in NAMES if found[name]["moved"]] == ["libkvazaar"]


def test_an_ffmpeg_without_an_encoder(tmp_path: Path) -> None:
    stub = tmp_path / "ffmpeg-stub"
    stub.write_text(f'#!/bin/sh\n"{FFMPEG}" "$@" | grep -v libx265\n')
    stub.chmod(0o755)
    done = run("doctor", "--ffmpeg-bin", stub, "--json")
    assert done.code == 69
    assert done.json["encoders"]["libx264"]["moved"] is True
    assert "has no libx265" in done.json["encoders"]["libx265"]["error"]


def test_an_ffmpeg_without_the_filters(tmp_path: Path) -> None:
    stub = tmp_path / "ffmpeg-stub"
    stub.write_text(f'#!/bin/sh\n"{FFMPEG}" "$@" | grep -v -e addroi -e maskedmerge\n')
    stub.chmod(0o755)
    found = run("doctor", "--ffmpeg-bin", stub, "--json").json["encoders"]
    assert "addroi: " in found["libx264"]["error"]
    assert "has no filter addroi" in found["libx264"]["error"]
    assert "has no filter maskedmerge" in found["libvvenc"]["error"]
