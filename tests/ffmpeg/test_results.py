"""Each form of each result follows its schema. Those of ``doctor`` and ``bench`` are checked in their own tests, by `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clips import make_clip
from program import run
from schemas import validator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip and an encode of it."""
    folder = tmp_path_factory.mktemp("results")
    make_clip(folder / "in.mp4", audio=True)
    assert run("encode", "--src", folder / "in.mp4", "--output", folder / "roi.mp4", "--device", "cpu", "--prove", "none").code == 0
    return folder


FORMS = {
    "an encode": ("encode", ["--src", "in.mp4", "--output", "out.mp4"]),
    "an encode without proof": ("encode", ["--src", "in.mp4", "--output", "out.mp4", "--prove", "none", "--no-audio"]),
    "an encode by bit rate": ("encode", ["--src", "in.mp4", "--output", "out.mp4", "--bitrate", "200k", "--prove", "none"]),
    "an encode for a size": ("encode", ["--src", "in.mp4", "--output", "out.mp4", "--target-size", "60k", "--prove", "none"]),
    "a dry run": ("encode", ["--src", "in.mp4", "--output", "out.mp4", "--dry-run"]),
    "a plain fallback": (
        "encode",
        ["--src", "in.mp4", "--output", "out.mp4", "--encoder", "mpeg4", "--saliency-fallback-plain"],
    ),
    "a plan": ("plan", ["--src", "in.mp4", "--sidecar", "out.npz"]),
    "an inspection": ("inspect", ["roi.mp4", "--picture", "out.png"]),
    "a preview as a video": ("preview", ["in.mp4", "--output", "out.mp4"]),
    "a preview as a sheet": ("preview", ["in.mp4", "--output", "out.png"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_result_follows_its_schema(folder: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the schema is strict: without any one of its keys, or with one more, the result does not follow it."""
    monkeypatch.chdir(folder)
    verb, arguments = FORMS[form]
    # Only the analysis takes a device, and the device is a fact of the machine.
    device = [] if verb == "inspect" else ["--device", "cpu"]
    done = run(verb, *arguments, *device, "--json")
    assert done.code == 0, done.err
    for path in folder.glob("out.*"):
        path.unlink()
    result = done.json
    schema = validator(verb)
    assert schema.is_valid(result)
    for place in _objects(result):
        for key in list(place):
            value = place.pop(key)
            assert not schema.is_valid(result), f"without {key}"
            place[key] = value
        place["more"] = 1
        assert not schema.is_valid(result), f"with another key beside {', '.join(place)}"
        del place["more"]


@pytest.mark.parametrize("flags", [("--crf", "99"), ("--encoder", "mpeg4"), ("--src", "no.mp4"), ("--sharpness", "3")])
def test_error_follows_its_schema(folder: Path, flags: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = run("encode", "--src", "in.mp4", "--output", "out.mp4", "--device", "cpu", *flags, "--json")
    assert done.code != 0
    assert validator("error").is_valid(done.json)


def _objects(value: Any) -> list[dict[str, Any]]:
    """All objects in ``value``."""
    if isinstance(value, list):
        return [inner for one in value for inner in _objects(one)]
    if not isinstance(value, dict):
        return []
    return [value, *(inner for one in value.values() for inner in _objects(one))]
