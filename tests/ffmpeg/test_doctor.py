"""`doctor` reports what its test encodes show, also for an ffmpeg that ignores regions or lacks parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_input import stub_ffmpeg
from clips import FFMPEG
from program import run

from gpu_saliency import Observer, Progress, check_machine
from gpu_saliency.encode.encoders import ENCODERS, HARDWARE, SOFTWARE

NAMES = [spec.name for spec in SOFTWARE]
IGNORE_REGIONS = "i = a.index('-/filter:v') if '-/filter:v' in a else None\nif i: del a[i:i+2]\nreal()"


def try_only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Shorten the doctor's table of encoders: each test encode takes about half a second."""
    monkeypatch.setattr("gpu_saliency.doctor.ENCODERS", {name: ENCODERS[name] for name in names})
    monkeypatch.setattr("gpu_saliency.doctor.SOFTWARE", tuple(ENCODERS[name] for name in names))


def ffmpeg_without(folder: Path, *words: str) -> Path:
    """An ffmpeg whose answers lack the lines with ``words``."""
    stub = folder / "ffmpeg-stub"
    stub.write_text(f'#!/bin/sh\n"{FFMPEG}" "$@" | grep -v {" ".join("-e " + word for word in words)}\n')
    stub.chmod(0o755)
    return stub


def test_a_healthy_machine() -> None:
    """All encoders that need no device move bits; each hardware encoder is tried too and reports the reason where it fails."""
    done = run("doctor", "--ffmpeg-bin", FFMPEG, "--json")
    assert done.code == 0, done.out
    found = done.json["encoders"]
    assert list(found) == list(ENCODERS)
    assert {name: found[name]["moved"] for name in NAMES} == dict.fromkeys(NAMES, True)
    assert {found[name]["ffmpeg"] for name in NAMES} == {FFMPEG}
    for spec in HARDWARE:
        assert found[spec.name]["moved"] is True or found[spec.name]["error"]
    assert done.json["runtime"]["providers"][-1] == "CPUExecutionProvider"
    assert "bundled" in [ffmpeg["origin"] for ffmpeg in done.json["ffmpeg"]]


def test_the_terminal_names_channel_and_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_SALIENCY_SVTAV1ENCAPP", "/no/such/app")
    try_only(monkeypatch, "libsvtav1")
    seen = list[Progress]()
    found = check_machine(FFMPEG, Observer(seen.append)).encoders["libsvtav1"]
    assert (found.channel, found.moved, seen[-1].done, seen[-1].total) == ("prefilter", True, 1, 1)
    out = run("doctor", "--ffmpeg-bin", FFMPEG).out
    line = next(line for line in out.splitlines() if line.startswith("  OK    libsvtav1"))
    assert "prefilter (not svtav1-map: GPU_SALIENCY_SVTAV1ENCAPP=/no/such/app: no such program)" in line
    assert line.endswith("bits follow the plan")
    assert "scripts/install-svtav1" in out, "advice for the better channel"
    assert out.splitlines()[-1].strip() == "OK    gpu-saliency encode IN --encoder libsvtav1 works here"
    assert "  OK    cpu        installed" in out.splitlines()


def test_an_ffmpeg_that_ignores_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stub leaves the filters out, which has the effect of an encoder without a channel; one encoder for each channel."""
    monkeypatch.setenv("GPU_SALIENCY_SVTAV1ENCAPP", "/no/such/app")
    try_only(monkeypatch, "libx264", "libsvtav1", "libkvazaar")
    done = run("doctor", "--ffmpeg-bin", stub_ffmpeg(tmp_path, IGNORE_REGIONS), "--json")
    assert done.code == 69
    found = done.json["encoders"]
    assert [found[name]["channel"] for name in found] == ["addroi", "prefilter", "kvazaar-roi"]
    # Kvazaar reads the offsets from a file of its own and not from the filters.
    assert [name for name in found if found[name]["moved"]] == ["libkvazaar"]


def test_an_ffmpeg_without_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try_only(monkeypatch, "libx264", "libx265")
    done = run("doctor", "--ffmpeg-bin", ffmpeg_without(tmp_path, "libx265"), "--json")
    assert done.code == 69
    assert done.json["encoders"]["libx264"]["moved"] is True
    assert "has no libx265" in done.json["encoders"]["libx265"]["error"]


def test_an_ffmpeg_without_the_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try_only(monkeypatch, "libx264", "libvvenc")
    found = run("doctor", "--ffmpeg-bin", ffmpeg_without(tmp_path, "addroi", "maskedmerge"), "--json").json["encoders"]
    assert "addroi: " in found["libx264"]["error"]
    assert "has no filter addroi" in found["libx264"]["error"]
    assert "has no filter maskedmerge" in found["libvvenc"]["error"]
