"""Any name that a file system allows works, for the source and for every output, in every ffmpeg that runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_input import save_model
from clips import make_clip
from program import leftovers, run

NAMES = [
    "Film: part 2",
    "a:b:c",
    "file:x",
    "pipe:1",
    "http:x",
    "-x",
    "--overwrite",
    "%d",
    "100%03d%%",
    'it\'s "quoted"',
    "two\nlines",
    "tab\tand\rreturn",
    "bell\x07 \x1b[31mred\x1b[0m",
    "[0:v]null;[a],b=c",
    "back\\slash",
    " space ",
    "$(id) `id` ;&|*?#~",
    "é ünï 漢字 🎬",
    os.fsdecode(b"latin-1 \xe9\xff"),
    "a|b,c",
]
ENCODERS = [
    ("libx264", (), ".mp4"),
    ("libx264", ("--bitrate", "300k"), ".mkv"),
    ("libx265", ("--bitrate", "300k"), ".mp4"),
    ("libx264", ("--roi-channel", "prefilter"), ".mkv"),
    ("libsvtav1", (), ".mkv"),
    ("libkvazaar", (), ".mp4"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_clip(folder / "clip.mp4", seconds=0.5, audio=True)
    save_model(folder / "model.onnx")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder; temporary files go to a folder of an odd name too."""
    odd = tmp_path / "temp: [a],b;c='d' %d"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert leftovers(odd, set()) == set()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_relative_name_works_everywhere(made: Path, here: Path, name: str) -> None:
    """The source, the encode with its sidecar, its proof, plan, scores and pictures all have the name."""
    source, output, overlay = f"{name}.mp4", f"{name} roi.mkv", f"{name} shown.mp4"
    shutil.copy(made / "clip.mp4", source)
    model = ("--saliency-model", made / "model.onnx")
    commands: list[tuple[object, ...]] = [
        ("encode", "--src", source, "--output", output, *model),
        ("plan", "--src", source, *model, "--export", "csv"),
        ("preview", *model, "--output", overlay, "--", source),
        ("preview", *model, "--output", f"{name}.png", "--", source),
        ("score", "--ref", source, "--dist", output, "--frames", 1, "--plot", f"{name} score.png"),
        ("inspect", "--picture", f"{name} proof.png", "--src", source, "--", output),
    ]
    for command in commands:
        done = run(*command)
        assert done.code == 0, (command, done.err)
    made_files = {source, output, f"{output}.saliency.npz", f"{source}.saliency.npz", f"{source}.plan.csv", overlay}
    made_files |= {f"{name}.png", f"{name} score.png", f"{name} proof.png"}
    assert leftovers(here, set()) == made_files


@pytest.mark.parametrize(("encoder", "flags", "suffix"), ENCODERS)
def test_an_odd_name_reaches_every_channel(made: Path, here: Path, encoder: str, flags: tuple[str, ...], suffix: str) -> None:
    folder = here / "A: [b],c;d='e' %d"
    folder.mkdir()
    source = make_clip(here / "plain.mp4", size="320x192", seconds=0.5).rename(folder / "in: 'x' %d.mp4")
    output = folder.relative_to(here) / f"out: [a],b;c='d' %d{suffix}"
    done = run("encode", "--src", source, "--output", output, "--encoder", encoder, "--saliency-model", made / "model.onnx", *flags)
    assert done.code == 0, done.err
    assert leftovers(folder, {source.name}) == {output.name, f"{output.name}.saliency.npz"}


@pytest.mark.parametrize("name", ["Film: part 2", "%d [a],b;c='d'"])
def test_a_comparison_in_an_odd_folder(made: Path, here: Path, name: str) -> None:
    shutil.copy(made / "clip.mp4", f"{name}.mp4")
    model = ("--saliency-model", made / "model.onnx")
    done = run(
        "compare", "--src", f"{name}.mp4", "--output", name, "--crf-ladder", "30,40", "--preset", "ultrafast", "--pairs", 1, *model
    )
    assert done.code == 0, done.err
    assert {"results.json", "report.html", "blind.html"} <= leftovers(here / name, set())


@pytest.mark.parametrize("letter", ["a", "é", "漢"])
@pytest.mark.parametrize("size", [200, 240, 241, 242])
def test_a_long_name_works_with_its_sidecar(made: Path, here: Path, size: int, letter: str) -> None:
    """242 bytes and the 13 of ``.saliency.npz`` are the 255 of a Linux file system."""
    count, rest = divmod(size - 4, len(letter.encode()))
    name = letter * count + "x" * rest + ".mp4"
    assert len(name.encode()) == size
    done = run("encode", "--src", made / "clip.mp4", "--output", name, "--saliency-model", made / "model.onnx", "--prove", "none")
    assert done.code == 0, done.err
    assert leftovers(here, set()) == {name, f"{name}.saliency.npz"}
    assert run("inspect", name, "--src", made / "clip.mp4").code == 0


@pytest.mark.parametrize("size", [243, 244, 250, 255])
def test_the_longest_names_work(made: Path, here: Path, size: int) -> None:
    """Where ``.saliency.npz`` does not fit behind a name, the sidecar has a shorter one of its own."""
    name = "n" * (size - 4) + ".mkv"
    done = run("encode", "--src", made / "clip.mp4", "--output", name, "--saliency-model", made / "model.onnx", "--json")
    assert done.code == 0, done.err
    sidecar = Path(done.json["analysis"]["sidecar"])
    assert leftovers(here, set()) == {name, sidecar.name}
    assert run("inspect", name, "--src", made / "clip.mp4").code == 0
    assert run("plan", "--src", name, "--saliency-model", made / "model.onnx").code == 73  # the sidecar of the encode is there
    other = "m" + name[1:]
    again = run("encode", "--src", made / "clip.mp4", "--output", other, "--saliency-model", made / "model.onnx")
    assert again.code == 0, again.err
    assert len(leftovers(here, set())) == 4


@pytest.mark.parametrize("size", [256, 300, 5000])
@pytest.mark.parametrize("role", ["output", "src", "sidecar", "maps", "model", "plot", "dist", "export_to", "picture", "inspect"])
def test_too_long_a_name_is_one_line(made: Path, here: Path, role: str, size: int) -> None:
    name = "n" * (size - 4) + ".mkv"
    clip, model = made / "clip.mp4", ("--saliency-model", made / "model.onnx")
    commands: dict[str, list[object]] = {
        "output": ["encode", "--src", clip, "--output", name],
        "src": ["encode", "--src", name, "--output", "o.mp4"],
        "sidecar": ["encode", "--src", clip, "--output", "o.mp4", "--sidecar", name],
        "maps": ["encode", "--src", clip, "--output", "o.mp4", "--maps", name],
        "model": ["encode", "--src", clip, "--output", "o.mp4", "--saliency-model", name],
        "plot": ["score", "--ref", clip, "--dist", clip, "--plot", name.replace(".mkv", ".png")],
        "dist": ["score", "--ref", clip, "--dist", name],
        "export_to": ["plan", "--src", clip, *model, "--export", "csv", "--export-to", name],
        "picture": ["inspect", clip, "--picture", name],
        "inspect": ["inspect", name],
    }
    done = run(*commands[role])
    expected = {"src": (65, 66), "dist": (65, 66), "inspect": (64,), "maps": (64, 66), "model": (64,)}.get(role, (73,))
    assert done.code in expected, done.err
    assert len(done.errors) == 1, done.err
    assert "Traceback" not in done.err
    assert leftovers(here, set()) == set()
