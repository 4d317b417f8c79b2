"""A plain encode checks its source as an encode with a plan does: the same warnings, and the same errors with ``--strict``."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ffmpeg
from damage import cut, zeroed
from decoded import ffmpeg_frames
from program import Run, leftovers, run

PLAIN = ("--encoder", "mpeg4", "--saliency-fallback-plain")
PLANNED = ("--preset", "ultrafast", "--prove", "none", "--no-equal-size")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", 2, "-pix_fmt", "yuv420p", "-c:a", "aac")
KINDS: dict[str, tuple[object, ...]] = {
    "a.mp4": (*X264, "-movflags", "faststart"),
    "a.mkv": X264,
    "a.ts": X264,
    "a.gif": ("-an",),
    "ffv1.mkv": ("-c:v", "ffv1", "-c:a", "flac"),
}


def _made(folder: Path, name: str) -> Path:
    """2 s of moving figures with noise at 24 fps, 160x96, with a tone."""
    path = folder / name
    picture = "testsrc2=size=160x96:rate=24:duration=2,noise=alls=12:allf=t"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=duration=2", *KINDS[name], path)
    return path


def _encode(source: Path, *arguments: object) -> Run:
    return run("encode", "--src", source, "--output", source.parent / "o.mkv", "--json", "--overwrite", *arguments)


def _of_the_source(done: Run, source: Path) -> list[str]:
    return [line for line in done.json["warnings"] if line.startswith(f"{source}: damaged")]


@pytest.mark.parametrize("name", KINDS)
def test_an_intact_source_gives_no_warning(name: str, tmp_path: Path) -> None:
    done = _encode(_made(tmp_path, name), *PLAIN, "--strict")
    assert done.code == 0, done.err
    assert [line for line in done.json["warnings"] if "less transparency" not in line] == []


@pytest.mark.parametrize("share", [0.3, 0.62, 0.9])
@pytest.mark.parametrize("name", KINDS)
def test_a_cut_source_gives_the_warning_of_the_encode_with_a_plan(name: str, share: float, tmp_path: Path) -> None:
    source = cut(_made(tmp_path, name), tmp_path / f"cut.{name}", share)
    plain, planned = _encode(source, *PLAIN), _encode(source, *PLANNED)
    assert plain.code == planned.code == 0, plain.err
    assert len(_of_the_source(planned, source)) == 1
    assert _of_the_source(plain, source) == _of_the_source(planned, source)
    assert plain.json["output"]["frames"] == ffmpeg_frames(source)


@pytest.mark.parametrize("name", KINDS)
def test_strict_refuses_a_cut_source(name: str, tmp_path: Path) -> None:
    source = cut(_made(tmp_path, name), tmp_path / f"cut.{name}", 0.7)
    before = {path.name for path in tmp_path.iterdir()}
    plain, planned = _encode(source, *PLAIN, "--strict"), _encode(source, *PLANNED, "--strict")
    assert plain.code == planned.code == 65
    assert plain.json["error"]["message"] == planned.json["error"]["message"]
    assert leftovers(tmp_path, before) == set()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "ffv1.mkv"])
def test_damage_in_the_middle(name: str, tmp_path: Path) -> None:
    source = zeroed(_made(tmp_path, name), tmp_path / f"zeroed.{name}", 0.5)
    assert len(_of_the_source(_encode(source, *PLAIN), source)) == 1
    assert _encode(source, *PLAIN, "--strict").code == 65


def test_a_part_before_the_damage_is_intact(tmp_path: Path) -> None:
    source = cut(_made(tmp_path, "a.mp4"), tmp_path / "cut.mp4", 0.8)
    done = _encode(source, *PLAIN, "--duration", "0.5", "--strict")
    assert done.code == 0, done.err
    assert done.json["warnings"] == []
    assert done.json["output"]["frames"] == 12
