"""The proof looks at places all over the clip, and an encoder that drops regions or parameters is an error."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest
from clips import FFMPEG, make_clip
from program import leftovers, run

from gpu_saliency.encode.channels.svtav1_program import PROGRAM_VARIABLE
from gpu_saliency.encode.complaints import complaint_of
from gpu_saliency.errors import EncodeError, UsageError

SVT = Path(os.environ.get(PROGRAM_VARIABLE, Path(__file__).parents[2] / ".svtav1" / "bin" / "SvtAv1EncApp"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "source.mp4", size="320x192", seconds=5, extra=("-g", "24"))


def wrapper(folder: Path, body: str) -> Path:
    """An ffmpeg that runs the Python code ``body`` first, with the command line in ``args``, then the bundled ffmpeg."""
    script = folder / "ffmpeg"
    code = f"#!{sys.executable}\nimport os, sys\nargs = sys.argv[1:]\n{body}\nos.execv({FFMPEG!r}, [{FFMPEG!r}, *args])\n"
    script.write_text(code)
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_places_of_the_whole_clip_are_compared(encoder: str, clip: Path, tmp_path: Path) -> None:
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mkv", "--encoder", encoder, "--preset", "veryfast", "--json")
    assert done.code == 0, done.err
    places = done.json["proof"]["places"]
    assert len(places) == 3
    if encoder == "libx264":
        assert [place["moved"] for place in places] == [True] * 3
        assert "at 3 of 3 further places" in done.json["proof"]["summary"]
    assert all(place["moved"] in (True, None) for place in places)  # without QP the error of few frames may not tell
    assert all(20 <= place["start"] < 120 for place in places)


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_regions_that_are_lost_later_in_the_clip_are_found(encoder: str, clip: Path, tmp_path: Path) -> None:
    """The wrapper removes the regions of every part that begins after a seek; the first frames keep theirs."""
    body = """
if "-ss" in args:
    graph = args[args.index("-/filter:v") + 1]
    text = open(graph).read()
    text = "\\n".join(line for line in text.splitlines() if not line.startswith("addroi")).rstrip(",\\n")
    open(graph, "w").write(text.replace(",\\n[", "["))
"""
    before = {path.name for path in tmp_path.iterdir()} | {"ffmpeg"}
    tool, fast = wrapper(tmp_path, body), ("--encoder", encoder, "--preset", "veryfast", "--json")
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mkv", "--ffmpeg-bin", tool, "--segments", "clip", *fast)
    assert done.code == 74
    assert "did not move as planned at frame" in done.err
    assert leftovers(tmp_path, before) == set()


def test_an_encoder_that_skips_regions_is_an_error(clip: Path, tmp_path: Path) -> None:
    """The wrapper flags all frames as interlaced, of which ffmpeg's libx264 drops the regions with a warning."""
    body = """
if "-/filter:v" in args:
    graph = args[args.index("-/filter:v") + 1]
    text = open(graph).read()
    open(graph, "w").write(text.replace("setfield=prog", "setfield=tff"))
"""
    tool = wrapper(tmp_path, body)
    arguments = ("--ffmpeg-bin", tool, "--prove", "none", "--no-equal-size")
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mkv", *arguments)
    assert done.code == 74
    assert "skipping ROI" in done.errors[0]
    assert leftovers(tmp_path, {"ffmpeg"}) == set()


@pytest.mark.parametrize(
    ("encoder", "params", "named"),
    [
        ("libx264", "foo=1", "foo=1"),
        ("libx264", "me=hexx", "me=hexx"),
        ("libx264", "keyint=25:bar", "bar"),
        ("libx265", "foo=1", "foo"),
        ("libx265", "me=hexx", "me=hexx"),
        ("libx265", "ref=abc", "ref=abc"),
        ("libaom-av1", "foo=1", "foo"),
        ("libaom-av1", "sharpness=abc", "sharpness=abc"),
        ("libkvazaar", "foo=1", "foo=1"),
        ("libvvenc", "foo=1", "foo"),
    ],
)
def test_a_parameter_that_the_encoder_drops_is_named(encoder: str, params: str, named: str, clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.mp4"
    done = run("encode", "--src", clip, "--output", output, "--encoder", encoder, "--encoder-params", params)
    assert done.code == 64, done.err
    assert len(done.errors) == 1
    assert f"--encoder-params {named}" in done.errors[0]
    assert leftovers(tmp_path, set()) == set()


@pytest.mark.parametrize("channel", ["prefilter", "svtav1-map"])
def test_svtav1_names_them_in_both_forms(channel: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if channel == "svtav1-map":
        if not SVT.exists():
            pytest.skip("no SvtAv1EncApp; scripts/install-svtav1")
        monkeypatch.setenv(PROGRAM_VARIABLE, str(SVT))
    arguments = ("--encoder", "libsvtav1", "--roi-channel", channel, "--encoder-params", "foo=1")
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mp4", *arguments)
    assert done.code == 64, done.err
    assert "--encoder-params foo" in done.errors[0]


def test_other_lines_are_no_complaints() -> None:
    for line in ("[libx264 @ 0x1] interlace + weightp is not implemented", "[h264 @ 0x1] Error parsing option", "", shlex.join([])):
        assert complaint_of(line) is None
    assert isinstance(complaint_of("[libvpx-vp9 @ 0x1] ROI is only enabled when aq_mode is 0, so skipping ROI."), EncodeError)
    assert isinstance(complaint_of("[libx265 @ 0x1] Unknown option: foo."), UsageError)
