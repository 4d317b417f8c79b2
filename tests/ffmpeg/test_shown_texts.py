"""What a file's name or its metadata holds, reaches the terminal as text only; passwords of URLs reach nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import save_model
from clips import ffmpeg, make_clip
from program import run

EVIL = "a\x1b]0;owned\x07\x1b[2J\r\nERROR: forged \u202egpm\x9b31m"
SHOWN = r"a\x1b]0;owned\x07\x1b[2J\r\nERROR: forged \u202egpm\x9b31m"
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_clip(folder / "clip.mp4", seconds=0.5)
    save_model(folder / "model.onnx")
    return folder


def _shows_no_control(out: str, err: str) -> None:
    for line in (out + err).split("\n"):
        assert not _CONTROL.search(line), ascii(line)
        assert not line.startswith("ERROR: forged"), ascii(line)


def test_names_are_escaped_in_every_result(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path(f"{EVIL}.mp4")
    source.write_bytes((made / "clip.mp4").read_bytes())
    model = ("--saliency-model", made / "model.onnx")
    output, mask = f"{EVIL}.mkv", tmp_path / f"{EVIL}.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96,format=gray", "-frames:v", 1, "-update", 1, tmp_path / "mask.png")
    (tmp_path / "mask.png").rename(mask)
    commands: list[tuple[object, ...]] = [
        ("encode", "--src", source, "--output", output, *model, "--prove", "none"),
        ("encode", "--src", source, "--output", "o.mp4", *model, "--dry-run"),
        ("encode", "--src", source, "--output", "o.mp4", "--maps", mask, "--prove", "none"),
        ("plan", "--src", source, *model, "--export", "csv"),
        ("preview", source, *model, "--output", f"{EVIL} shown.mp4"),
        ("score", "--ref", source, "--dist", output, "--frames", 1, "--plot", f"{EVIL} plot.png"),
        ("inspect", output, "--picture", f"{EVIL} proof.png"),
        ("compare", "--src", source, "--output", f"{EVIL} compared", "--crf-ladder", "30,40", "--pairs", 0, *model),
        ("bench", source, "--rounds", 1, *model),
    ]
    for command in commands:
        done = run(*command)
        assert done.code == 0, (command[0], done.err)
        _shows_no_control(done.out, done.err)
    assert SHOWN in run("plan", "--src", source, *model, "--overwrite").out


def test_names_are_escaped_in_every_error(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(EVIL).write_bytes(b"no video")
    clip = made / "clip.mp4"
    commands: list[tuple[object, ...]] = [
        ("encode", "--src", EVIL, "--output", "o.mp4"),
        ("encode", "--src", f"{EVIL} missing", "--output", "o.mp4"),
        ("encode", "--src", clip, "--output", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", "--sidecar", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", "--saliency-model", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", "--maps", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", "--encoder", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", "--preset", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", "--encoder-params", f"{EVIL}=1"),
        ("encode", "--src", clip, "--output", "o.mp4", "--ffmpeg-bin", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", "--crf", EVIL),
        ("encode", "--src", clip, "--output", "o.mp4", f"--{EVIL}"),
        ("plan", "--src", clip, "--sidecar", f"{EVIL}/no/s.npz"),
        ("score", "--ref", clip, "--dist", EVIL),
        ("inspect", EVIL),
        (EVIL,),
    ]
    for command in commands:
        done = run(*command)
        assert done.code in (2, 64, 65, 66, 69, 73), (command, done.err)
        assert len(done.errors) == 1, (command, done.err)
        _shows_no_control(done.out, done.err)


def test_metadata_of_a_source_is_text(made: Path, tmp_path: Path) -> None:
    """Titles and languages of streams, and the title of the file, have control characters."""
    path = tmp_path / "in.mkv"
    tags = ["-metadata", f"title={EVIL}", "-metadata:s:v:0", f"title={EVIL}", "-metadata:s:v:0", "language=\x1b[1"]
    ffmpeg("-i", made / "clip.mp4", "-c", "copy", *tags, path)
    done = run("encode", "--src", path, "--output", tmp_path / "o.mkv", "--saliency-model", made / "model.onnx")
    assert done.code == 0, done.err
    _shows_no_control(done.out, done.err)


def test_json_has_the_name_as_it_is(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = f"{EVIL}.mp4"
    Path(source).write_bytes((made / "clip.mp4").read_bytes())
    done = run("plan", "--src", source, "--saliency-model", made / "model.onnx", "--json")
    assert done.json["sidecar"] == f"{source}.saliency.npz"
    assert done.out.isascii()
    _shows_no_control(done.out, done.err)


SECRETS = [
    "rtsp://user:hunter2@127.0.0.1:1/live",
    "rtsp://user:hun@ter2@127.0.0.1:1/live",
    "http://127.0.0.1:1/live.ts?token=hunter2",
    "http://127.0.0.1:1/live.ts?hunter2",
    "https://127.0.0.1:1/live.ts?a=1&signature=hunter2#hunter2",
    "rtmp://127.0.0.1:1/app/hunter2",
    "srt://127.0.0.1:1?mode=caller&passphrase=hunter2hunter2",
    "srt://127.0.0.1:1?streamid=hunter2",
    "gopher://user:hunter2@127.0.0.1:1/x",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_url_s_secrets_are_shown_nowhere(url: str) -> None:
    command = [sys.executable, "-m", "gpu_saliency", "preview", url, "--web"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 65, done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "ter2" not in done.stdout + done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("ERROR")]) == 1


@pytest.mark.parametrize("url", ["https://user:hunter2@host/a.mp4", "srt://host:1?passphrase=hunter2"])
@pytest.mark.parametrize("flag", ["--src", "--output", "--sidecar", "--maps"])
def test_a_url_in_the_place_of_a_file(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, flag: str) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, object] = {"--src": made / "clip.mp4", "--output": "o.mp4"}
    words = [word for pair in (given | {flag: url}).items() for word in pair]
    done = run("encode", *words, "--json")
    assert done.code in (65, 66, 73), done.err
    assert "hunter2" not in done.out + done.err
    json.loads(done.out)


def test_a_name_with_an_emoji_code_is_shown_as_it_is(tmp_path: Path) -> None:
    done = run("plan", "--src", tmp_path / ":warning: :100:.mp4")
    assert done.code == 66
    assert ":warning: :100:.mp4: no such file" in done.errors[0]
