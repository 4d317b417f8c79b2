"""Shared sidecars lose no record, a source that changes under a run is an error, encoders that cannot open fail early."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import save_model
from clips import make_clip
from program import leftovers, run

from gpu_saliency import AnalysisSettings, EncodeRequest, encode_clip, load_saliency_sidecar, probe_clip
from gpu_saliency.analysis.sidecar import read_sidecar, save_sidecar
from gpu_saliency.errors import MapsError, ModelError, SourceError
from gpu_saliency.progress import Observer, Progress


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", seconds=0.5)


@pytest.mark.parametrize("exists", [True, False])
def test_parallel_encodes_with_one_sidecar_lose_no_record(clip: Path, tmp_path: Path, exists: bool) -> None:
    sidecar = tmp_path / "s.npz"
    if exists:
        assert run("plan", "--src", clip, "--sidecar", sidecar).code == 0
    program = [sys.executable, "-m", "gpu_saliency", "encode", "--src", str(clip), "--sidecar", str(sidecar), "--quiet"]
    many = [
        subprocess.Popen([*program, "--prove", "none", "--preset", "ultrafast", "--output", str(tmp_path / f"{i}.mp4")])
        for i in range(5)
    ]
    assert [one.wait() for one in many] == [0] * 5
    found = read_sidecar(sidecar)
    assert sorted(found.encodes) == [f"{i}.mp4" for i in range(5)]
    for i in range(5):
        assert found.encodes[f"{i}.mp4"]["size_bytes"] == (tmp_path / f"{i}.mp4").stat().st_size
    assert leftovers(tmp_path, {"in.mp4", "s.npz", *(f"{i}.mp4" for i in range(5))}) == set()


def test_a_sidecar_of_another_source_that_appears_meanwhile(clip: Path, tmp_path: Path) -> None:
    """It is neither replaced nor changed, and the encode is not published."""
    other = make_clip(tmp_path / "other.mp4", seconds=0.25)
    sidecar = tmp_path / "s.npz"
    foreign = load_saliency_sidecar(probe_clip(other))[0]

    def appear(progress: Progress) -> None:
        if progress.stage.startswith("encoding"):
            save_sidecar(foreign, sidecar)

    request = EncodeRequest(probe_clip(clip), tmp_path / "out.mp4", sidecar=sidecar, prove="none")
    with pytest.raises(ValueError, match="was made for a source of"):
        encode_clip(request, Observer(on_progress=appear))
    assert read_sidecar(sidecar).source == foreign.source
    assert not (tmp_path / "out.mp4").exists()


def _moved(clip: Path) -> None:
    other = make_clip(clip.with_name("other.mp4"), size="320x192", seconds=0.5)
    other.replace(clip)


def _appended(clip: Path) -> None:
    with clip.open("ab") as file:
        file.write(b"\0")


def _same_size_and_time(clip: Path) -> None:
    """One byte is another, and the time of the change is set back."""
    before = clip.stat()
    with clip.open("r+b") as file:
        file.seek(before.st_size - 40)
        byte = file.read(1)
        file.seek(before.st_size - 40)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))


def _copied_over(clip: Path) -> None:
    copy = Path(shutil.copy2(clip, clip.with_name("copy.mp4")))
    copy.replace(clip)


CHANGES: dict[str, Callable[[Path], None]] = {
    "another file": _moved,
    "appended to": _appended,
    "truncated": lambda clip: os.truncate(clip, clip.stat().st_size - 1),
    "other content, same size and time": _same_size_and_time,
    "replaced by a copy": _copied_over,
    "removed": lambda clip: clip.unlink(),
}


@pytest.mark.parametrize("stage", ["finding", "encoding", "proving"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_source_that_changes_under_an_encode(name: str, stage: str, clip: Path, tmp_path: Path) -> None:
    changed: list[bool] = []

    def change(progress: Progress) -> None:
        if progress.stage.startswith(stage) and not changed:
            changed.append(True)
            CHANGES[name](clip)

    before = {path.name for path in tmp_path.iterdir()} | {"other.mp4", "copy.mp4"}
    with pytest.raises(SourceError, match="changed during the run"):
        encode_clip(EncodeRequest(probe_clip(clip), tmp_path / "out.mp4"), Observer(on_progress=change))
    assert changed
    assert leftovers(tmp_path, before) == set()


@pytest.mark.parametrize("name", CHANGES)
def test_a_source_that_changes_under_a_plan(name: str, clip: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()} | {"other.mp4", "copy.mp4"}
    probed = probe_clip(clip)
    done: list[bool] = []

    def change(*_: object) -> None:
        if not done:
            done.append(True)
            CHANGES[name](clip)

    with pytest.raises(SourceError, match="changed during the run") as caught:
        load_saliency_sidecar(probed, AnalysisSettings(cache=True), tmp_path / "s.npz", on_progress=change)
    assert caught.value.exit_code == 65
    assert leftovers(tmp_path, before) == set()


def test_a_model_and_maps_that_change_under_the_analysis(clip: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.onnx")
    probed = probe_clip(clip)
    with pytest.raises(ModelError, match=r"m\.onnx: changed during the run"):
        load_saliency_sidecar(probed, AnalysisSettings(model=model), on_progress=lambda *_: (save_model(model, scale=0.2), None)[1])
    shutil.copy(clip, tmp_path / "maps.mp4")
    with pytest.raises(MapsError, match=r"maps\.mp4: changed during the run"):
        load_saliency_sidecar(
            probed, AnalysisSettings(maps=tmp_path / "maps.mp4"), on_progress=lambda *_: os.utime(tmp_path / "maps.mp4")
        )


CANNOT_OPEN: dict[str, tuple[object, ...]] = {
    "no such device": ("--encoder", "h264_nvenc"),
    "no such device of VAAPI": ("--encoder", "h264_vaapi"),
    "a CTU of 7": ("--encoder", "libx265", "--encoder-params", "ctu=7"),
}


@pytest.mark.parametrize("name", CANNOT_OPEN)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_an_encoder_that_cannot_open_is_found_before_the_analysis(
    name: str, dry: tuple[str, ...], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dry:
        monkeypatch.setattr("gpu_saliency.pipeline.find_saliency", lambda *_, **__: pytest.fail("analysed"))
    before = {path.name for path in tmp_path.iterdir()}
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mp4", *CANNOT_OPEN[name], *dry, "--json")
    assert (done.code, len(done.errors)) == (69, 1), done.err
    assert "Traceback" not in done.err
    assert leftovers(tmp_path, before) == set()
