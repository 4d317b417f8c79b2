"""The analysis is paid for once: maps are kept by content and reused; the cache is bounded, private and distrusts its entries."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from clips import make_clip
from program import Run, run

from gpu_saliency import AnalysisSettings, load_saliency_sidecar, probe_clip
from gpu_saliency.analysis import load
from gpu_saliency.analysis.kept import map_cache
from gpu_saliency.analysis.sidecar import read_sidecar
from gpu_saliency.model.shipped import DEFAULT_MODEL


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", seconds=0.5)


def encode(clip: Path, name: str, *flags: object) -> Run:
    return run("encode", "--src", clip, "--output", clip.with_name(name), "--prove", "none", "--json", *flags)


def came_from(done: Run) -> str | None:
    assert done.code == 0, done.err
    where: str | None = done.json["analysis"]["reused_from"]
    assert done.json["analysis"]["reused"] is (where is not None)
    return where


def only_entry() -> Path:
    (entry,) = map_cache().entries()
    return entry.path


def test_another_crf_reuses_the_maps(clip: Path) -> None:
    assert came_from(encode(clip, "a.mp4")) is None
    assert came_from(encode(clip, "b.mp4", "--crf", 30, "--encoder", "libx265", "--preset", "ultrafast")) == str(only_entry())
    first, second = (read_sidecar(clip.with_name(f"{name}.mp4.saliency.npz")) for name in "ab")
    assert (first.track.saliency == second.track.saliency).all()
    assert second.source.path == str(clip)
    assert list(second.encodes) == ["b.mp4"]


def test_the_same_output_with_and_without_the_cache(clip: Path) -> None:
    encode(clip, "a.mp4")
    encode(clip, "b.mp4")
    assert came_from(encode(clip, "c.mp4", "--no-cache")) is None
    assert len({clip.with_name(f"{name}.mp4").read_bytes() for name in "abc"}) == 1


def test_no_cache_keeps_nothing(clip: Path) -> None:
    encode(clip, "a.mp4", "--no-cache")
    assert map_cache().entries() == []


def test_plan_then_encode_takes_the_sidecar_beside_the_source(clip: Path) -> None:
    assert run("plan", "--src", clip, "--no-cache").code == 0
    assert came_from(encode(clip, "a.mp4", "--no-cache")) == f"{clip}.saliency.npz"
    assert clip.with_name("a.mp4.saliency.npz").is_file()
    dry = run("encode", "--src", clip, "--output", clip.with_name("b.mp4"), "--dry-run", "--json", "--no-cache")
    assert came_from(dry) == f"{clip}.saliency.npz"


def test_a_sidecar_beside_the_source_that_does_not_fit_is_passed_over(clip: Path) -> None:
    assert run("plan", "--src", clip, "--every", 3, "--no-cache").code == 0
    done = encode(clip, "a.mp4", "--every", 2, "--no-cache")
    assert came_from(done) is None
    assert "has a map for every 3 frames, not for every 2; it is not used" in " ".join(done.err.split())
    Path(f"{clip}.saliency.npz").write_bytes(b"junk")
    done = encode(clip, "b.mp4", "--no-cache")
    assert came_from(done) is None
    assert "is not a sidecar" in done.err


def test_plan_preview_and_compare_share_the_maps(clip: Path, tmp_path: Path) -> None:
    planned = run("plan", "--src", clip, "--sidecar", tmp_path / "p.npz", "--json")
    assert planned.json["reused_from"] is None
    entry = str(only_entry())
    assert run("plan", "--src", clip, "--sidecar", tmp_path / "q.npz", "--json").json["reused_from"] == entry
    assert (tmp_path / "p.npz").read_bytes() == (tmp_path / "q.npz").read_bytes()
    shown = run("preview", clip, "--output", tmp_path / "sheet.png", "--verbose").err
    assert f"reused from {entry}" in shown.replace("\n", "")
    done = run("compare", "--src", clip, "--output", tmp_path / "c", "--crf-ladder", "30,40", "--preset", "ultrafast", "--pairs", 0)
    assert f"reused {entry}" in done.err.replace("\n", "")


def test_a_retry_after_a_failed_encode_reuses_the_maps(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first encode fails after its analysis."""

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gpu_saliency.pipeline.run_saliency_encode", fail)
        assert encode(clip, "a.mp4").code == 130
    assert came_from(encode(clip, "a.mp4")) == str(only_entry())


def test_a_copy_of_the_clip_elsewhere_is_the_same_clip(clip: Path, tmp_path: Path) -> None:
    encode(clip, "a.mp4")
    (tmp_path / "other").mkdir()
    copy = Path(shutil.copy(clip, tmp_path / "other" / "copy.mp4"))
    assert came_from(encode(copy, "b.mp4")) == str(only_entry())
    assert b"in.mp4" not in only_entry().read_bytes()


def test_what_decides_the_maps_decides_the_entry(clip: Path, tmp_path: Path) -> None:
    """Each change needs an analysis of its own."""
    encode(clip, "a.mp4")
    model = Path(shutil.copy(DEFAULT_MODEL, tmp_path / "same.onnx"))
    assert came_from(encode(clip, "b.mp4", "--saliency-model", model)) == str(only_entry())
    changes: list[tuple[object, ...]] = [("--every", 2), ("--duration", 0.25), ("--saliency-model", "saliency_best_v3")]
    for number, flags in enumerate(changes):
        assert came_from(encode(clip, f"c{number}.mp4", *flags)) is None
    assert len(map_cache().entries()) == 4
    with clip.open("r+b") as file:  # one byte of the pictures
        file.seek(clip.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    assert came_from(encode(clip, "d.mp4")) is None


def test_a_new_version_of_the_analysis_needs_new_maps(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(clip, "a.mp4")
    monkeypatch.setattr("gpu_saliency.analysis.kept.ANALYSIS_VERSION", 2)
    assert came_from(encode(clip, "b.mp4")) is None


def _other_clip(entry: Path) -> None:
    other = entry.parent / "other.mp4"
    make_clip(other, size="64x64", seconds=0.25)
    load_saliency_sidecar(probe_clip(other), AnalysisSettings(device="cpu"), entry.with_name("s.npz"))
    entry.with_name("s.npz").replace(entry)


def _pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def _device(entry: Path) -> None:
    entry.unlink()
    entry.symlink_to("/dev/zero")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "junk": lambda entry: entry.write_bytes(b"junk"),
    "empty": lambda entry: entry.write_bytes(b""),
    "half": lambda entry: os.truncate(entry, entry.stat().st_size // 2),
    "a flipped bit": lambda entry: entry.write_bytes(bytes(b ^ (i == 900) for i, b in enumerate(entry.read_bytes()))),
    "another clip": _other_clip,
    "a pipe": _pipe,
    "a link to a device": _device,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_removed_and_made_again(name: str, clip: Path) -> None:
    encode(clip, "a.mp4")
    good = clip.with_name("a.mp4").read_bytes()
    entry = only_entry()
    DAMAGE[name](entry)
    assert came_from(encode(clip, "b.mp4")) is None
    assert clip.with_name("b.mp4").read_bytes() == good
    assert came_from(encode(clip, "c.mp4")) == str(entry)


def test_the_folder_and_its_entries_are_private(clip: Path) -> None:
    before = os.umask(0)
    try:
        encode(clip, "a.mp4")
    finally:
        os.umask(before)
    assert stat.S_IMODE(only_entry().stat().st_mode) == 0o600
    assert stat.S_IMODE(only_entry().parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["a file", "a folder of others", "a link"])
def test_a_cache_that_cannot_be_used_is_no_error(kind: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("GPU_SALIENCY_CACHE_DIR", str(folder))
    if kind == "a file":
        folder.write_bytes(b"")
    else:
        folder.mkdir()
        (folder / "real").mkdir()
        (folder / "maps").symlink_to(folder / "real") if kind == "a link" else (folder / "maps").mkdir()
        (folder / "maps").chmod(0o777)
    done = encode(clip, "a.mp4")
    assert came_from(done) is None
    assert "the maps are not kept for later runs: " in done.err


def test_the_cache_is_bounded(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two entries fit; the one that was used last stays."""
    for every in (2, 3):
        encode(clip, f"{every}.mp4", "--every", every)
    two, three = map_cache().entries()
    os.utime(two.path, (1, 1))
    os.utime(three.path, (2, 2))
    assert came_from(encode(clip, "again.mp4", "--every", 2)) == str(two.path)
    monkeypatch.setenv("GPU_SALIENCY_CACHE_SIZE", str(two.size_bytes + three.size_bytes + 500))
    encode(clip, "4.mp4", "--every", 4)
    assert two.path.exists()
    assert not three.path.exists()
    monkeypatch.setenv("GPU_SALIENCY_CACHE_SIZE", "10")
    encode(clip, "5.mp4", "--every", 5)
    assert sum(one.size_bytes for one in map_cache().entries()) > 10  # what is too large for the cache pushes nothing out
    assert not list(map_cache().folder.glob(".part-*"))


def test_the_command(clip: Path) -> None:
    for every in (2, 3):
        encode(clip, f"{every}.mp4", "--every", every)
    shown = run("cache", "--json").json
    assert (shown["entries"], shown["removed"], shown["limit_bytes"]) == (2, 0, 1 << 30)
    assert shown["path"] == os.environ["GPU_SALIENCY_CACHE_DIR"]
    smallest = min(one.size_bytes for one in map_cache().entries())
    pruned = run("cache", "prune", "--limit", shown["size_bytes"] - 1, "--json").json
    assert (pruned["entries"], pruned["removed"]) == (1, 1)
    assert pruned["removed_bytes"] >= smallest
    (map_cache().folder / "mine.txt").write_text("no entry")
    cleared = run("cache", "clear", "--json").json
    assert (cleared["entries"], cleared["removed"]) == (0, 1)
    assert (map_cache().folder / "mine.txt").exists()
    assert "0 analyses" in run("cache").out
    assert [run("cache", *words).code for words in (("burn",), ("--limit", "1M"), ("prune", "--limit", "many"))] == [64, 64, 64]


def test_bench_does_not_use_the_cache(clip: Path) -> None:
    done = run("bench", clip, "--device", "cpu", "--seconds", 0.1)
    assert "cache" not in done.err
    assert map_cache().entries() == []


def test_the_library_uses_it_only_when_asked(clip: Path) -> None:
    load_saliency_sidecar(probe_clip(clip))
    assert map_cache().entries() == []
    assert not load_saliency_sidecar(probe_clip(clip), AnalysisSettings(cache=True))[1]
    assert load_saliency_sidecar(probe_clip(clip), AnalysisSettings(cache=True))[1]
    found = load.find_saliency(probe_clip(clip), AnalysisSettings(cache=True, analysis_fps=Fraction(4)))
    assert found.reused_from == only_entry()


def test_many_processes_share_it(clip: Path) -> None:
    """Four processes analyse, keep, read and prune at once; all succeed with the same maps."""
    program = [sys.executable, "-m", "gpu_saliency", "plan", "--src", str(clip), "--quiet"]
    many = [subprocess.Popen([*program, "--sidecar", str(clip.with_name(f"{i}.npz"))]) for i in range(4)]
    for _ in range(20):
        map_cache().prune()
    assert [one.wait() for one in many] == [0] * 4
    assert len({clip.with_name(f"{i}.npz").read_bytes() for i in range(4)}) == 1
    assert len(map_cache().entries()) == 1
