"""``score`` and ``bench`` measure what an incomplete file holds, and warn that it is not the whole clip."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ffmpeg
from damage import cut, zeroed
from program import run

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", 4, "-bf", 2, "-pix_fmt", "yuv420p")
KINDS: dict[str, tuple[object, ...]] = {
    "clip.mp4": (*X264, "-movflags", "faststart"),
    "clip.mkv": X264,
    "clip.ts": X264,
    "clip.avi": ("-c:v", "mjpeg", "-q:v", 3),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 12 frames of moving figures at 24 fps, 96x64: intact, and in ``cut`` without their last two fifths."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "cut").mkdir()
    for name, arguments in KINDS.items():
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=0.5", *arguments, folder / name)
        cut(folder / name, folder / "cut" / name, 0.6)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_a_score_of_two_cut_files_warns_of_both(made: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / name
    other.write_bytes((made / "cut" / name).read_bytes())
    done = run("score", "--ref", made / "cut" / name, "--dist", other, "--json")
    assert done.code == 0
    assert 0 < done.json["frames"] < 12
    warned = done.json["warnings"]
    assert [text.split(": damaged")[0] for text in warned] == [str(made / "cut" / name), str(other)]
    assert all(f"WARNING: {text}" in done.err for text in warned)


def test_a_score_of_intact_files_and_of_chosen_frames_does_not_warn(made: Path) -> None:
    """Of the first frames of a cut file, too, nothing is missing; ffmpeg may read further and find its end."""
    for name in ("clip.mp4", "clip.ts"):
        done = run("score", "--ref", made / name, "--dist", made / name, "--json")
        assert done.json["frames"] == 12
        assert done.json["warnings"] == []
    done = run("score", "--ref", made / "clip.mkv", "--dist", made / "cut" / "clip.mkv", "--frames", 3, "--json")
    assert done.json["frames"] == 3
    assert not any("frames, " in text for text in done.json["warnings"])


def test_a_score_warns_of_damage_that_only_the_decoder_sees(made: Path, tmp_path: Path) -> None:
    """All packets are there; the pictures of some are not."""
    damaged = zeroed(made / "clip.mkv", tmp_path / "damaged.mkv", 0.5, 40)
    done = run("score", "--ref", made / "clip.mkv", "--dist", damaged, "--json")
    assert done.code == 0, done.err
    assert len(done.json["warnings"]) == 1
    assert "damaged" in done.json["warnings"][0]
    assert str(damaged) in done.json["warnings"][0]


def test_a_bench_warns_of_a_cut_clip(made: Path) -> None:
    done = run("bench", made / "clip.mkv", made / "cut" / "clip.mkv", "--rounds", 1, "--batch", 1, "--json")
    assert done.code == 0, done.err
    warned = done.json["warnings"]
    assert len(warned) == 1
    assert warned[0].startswith(f"{made / 'cut' / 'clip.mkv'}: damaged or incomplete: it declares 12 frames, ")
