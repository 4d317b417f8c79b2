"""Numbers of any length, in every flag and in a file, end in a result or in one short line with a documented exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main
from bad_input import save_model
from clips import make_clip
from program import run

from gpu_saliency.cli import app
from gpu_saliency.numerals import is_whole, whole_number

NUMBERS = {
    "5000 digits": "9" * 5000,
    "4000 digits": "9" * 4000,
    "400 digits": "9" * 400,
    "30 digits": "9" * 30,
    "negative": "-" + "9" * 5000,
    "fraction": "1/" + "9" * 5000,
    "large fraction": "9" * 4000 + "/7",
    "small": "0." + "0" * 5000 + "1",
    "exponent": "1e" + "9" * 5000,
    "not a number": "nan",
    "infinite": "-inf",
    "list": ",".join(["9" * 5000] * 3),
    "sizes": "9" * 5000 + "x" + "9" * 5000,
    "unit": "9" * 400 + "M",
    "share": "9" * 5000 + "%",
}
TEXTS = {"--device", "--host", "--codec", "--pix-fmt", "--roi-mapping", "--saliency-aggregator", "--provider", "--prove", "--style"}
FILES = {
    "--src",
    "--output",
    "--sidecar",
    "--keep",
    "--config",
    "--log-file",
    "--maps",
    "--masks",
    "--gaze",
    "--plot",
    "--work",
    "--ref",
    "--dist",
    "--plain",
    "--picture",
}
OTHERS = {
    "--saliency-model",
    "--ffmpeg-bin",
    "--encoder",
    "--preset",
    "--encoder-params",
    "--roi-channel",
    "--export",
    "--export-to",
}
NO_NUMBERS = TEXTS | FILES | OTHERS | {"--maps-kind"}


def _numeric_flags() -> list[tuple[str, str]]:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return [
        (name, option.opts[0])
        for name in ("encode", "plan", "inspect", "score", "compare", "preview", "bench")
        for option in commands[name].params
        if option.param_type_name == "option" and not option.is_flag and option.opts[0] not in NO_NUMBERS
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    clip = make_clip(folder / "clip.mp4", size="64x48", seconds=0.25)
    model = save_model(folder / "model.onnx")
    done = run("encode", "--src", clip, "--output", folder / "encode.mp4", "--saliency-model", model, "--prove", "none")
    assert done.code == 0, done.err
    return folder


# A run of compare takes seconds, and it has the option groups of encode.
_COMMAND_FLAGS = [pytest.param(*pair, marks=[pytest.mark.slow] if pair[0] == "compare" else []) for pair in _numeric_flags()]


@pytest.mark.parametrize(("command", "flag"), _COMMAND_FLAGS)
def test_a_flag_takes_any_number(made: Path, tmp_path: Path, command: str, flag: str) -> None:
    clip, model = made / "clip.mp4", ("--saliency-model", made / "model.onnx")
    base: dict[str, list[object]] = {
        "encode": ["encode", "--src", clip, "--output", tmp_path / "o.mp4", "--dry-run", *model],
        "plan": ["plan", "--src", clip, "--sidecar", tmp_path / "s.npz", "--overwrite", *model],
        "inspect": ["inspect", made / "encode.mp4"],
        "score": ["score", "--ref", clip, "--dist", made / "encode.mp4"],
        "compare": ["compare", "--src", clip, "--output", tmp_path / "compared", *model, "--crf-ladder", "30,40"],
        "preview": ["preview", clip, "--output", tmp_path / "o.png", "--overwrite", *model],
        "bench": ["bench", clip, "--rounds", "1", *model],
    }
    for name, number in NUMBERS.items():
        done = run(*base[command], flag, number)
        assert done.code in (0, 64, 65), (name, done.err[-2000:])
        assert len(done.errors) == (1 if done.code else 0), (name, done.err[-2000:])
        assert "Traceback" not in done.err
        assert max(map(len, done.err.splitlines()), default=0) < 1000, name


@pytest.mark.parametrize("text", ["1" * 19, "9" * 5000, "-1", "+1", "1.0", "", " 1", "\u0661\u0662", "\u00b2", "0x10", "1_000"])
def test_no_whole_number(text: str) -> None:
    assert whole_number(text) is None
    assert not is_whole(text, 0)


def test_whole_numbers() -> None:
    assert (whole_number("0"), whole_number("007"), whole_number("9" * 18)) == (0, 7, 10**18 - 1)
    assert is_whole("5", 5, 5)
    assert not is_whole("5", 6)
    assert not is_whole("5", 0, 4)


@pytest.mark.parametrize(("width", "height"), [(10**9, 1), (1, 10**9), (2**31 - 1, 2), (1001, 1), (1, 1001)])
def test_an_absurd_pixel_shape_is_refused(tmp_path: Path, width: int, height: int) -> None:
    """The shape of a pixel in an MP4 is two 32-bit numbers of the box pasp."""
    clip = _with_pixels(tmp_path, width, height)
    for command in (["encode", "--src", clip, "--output", tmp_path / "o.mp4"], ["preview", clip, "--output", tmp_path / "o.png"]):
        done = run(*command)
        assert done.code == 65, done.err
        assert len(done.errors) == 1
        assert "at most 1000:1 is supported" in done.errors[0]


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (0, 0), (1000, 1), (1, 1000), (2**31 - 1, 2**31 - 2)])
def test_an_odd_pixel_shape_works(made: Path, tmp_path: Path, width: int, height: int) -> None:
    clip = _with_pixels(tmp_path, width, height)
    model = ("--saliency-model", made / "model.onnx")
    assert run("encode", "--src", clip, "--output", tmp_path / "o.mp4", "--prove", "none", *model).code == 0
    assert run("preview", clip, "--output", tmp_path / "o.png", *model).code == 0


def _with_pixels(folder: Path, width: int, height: int) -> Path:
    path = make_clip(folder / "in.mp4", size="64x48", seconds=0.25, extra=("-aspect", "2:1"))
    data = bytearray(path.read_bytes())
    at = data.index(b"pasp") + 4
    data[at : at + 8] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    path.write_bytes(data)
    return path
