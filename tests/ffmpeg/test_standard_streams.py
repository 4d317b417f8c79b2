"""Closed, full and narrow standard streams: the job goes on, the output decides the exit code, and there is no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
from clips import make_clip
from waiting import HANG_SECONDS

FILES = ["out.mkv", "out.mkv.saliency.npz"]


def shell(folder: Path, *arguments: object, end: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in ``folder`` by a shell with the redirections ``end``."""
    command = ["bash", "-c", f'"$0" -m gpu_saliency "$@" {end}', sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=HANG_SECONDS, env=os.environ | environment, errors="replace"
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    make_clip(tmp_path / "in.mkv", size="64x48")
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


ENCODE = ("encode", "--src", "../in.mkv", "--output", "out.mkv", "--prove", "none", "--no-equal-size")


@pytest.mark.parametrize(
    ("end", "as_json"),
    [
        ("2>&-", True),
        (">&-", False),
        (">&-", True),
        ("<&-", False),
        (">&- 2>&-", False),
        ("<&- >&- 2>&-", True),
        ("2>/dev/full", False),
        (">/dev/full", False),
        (">/dev/full", True),
        (">/dev/full 2>/dev/full", True),
        ("| true", False),
        ("| true", True),
        ("2>&1 | true", False),
    ],
)
def test_the_output_decides(work: Path, end: str, as_json: bool) -> None:
    """The exit code is that of the program, also in a pipe."""
    done = shell(work, *ENCODE, *["--json"] * as_json, end=f"{end}; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in work.iterdir()) == FILES
    with av.open(str(work / "out.mkv")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 24
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "ERROR" not in done.stderr
    assert ("WARNING: stdout: the result cannot be written" in done.stderr) == (end == ">/dev/full")


@pytest.mark.parametrize(
    ("end", "as_json"),
    [
        ("2>&-", False),
        (">&-", True),
        (">&- 2>&-", False),
        ("2>/dev/full", False),
        (">/dev/full", True),
        (">/dev/full 2>/dev/full", False),
        (">/dev/full 2>/dev/full", True),
    ],
)
def test_an_error_keeps_its_exit_code(work: Path, end: str, as_json: bool) -> None:
    done = shell(work, "encode", "--src", "no.mkv", "--output", "out.mkv", *["--json"] * as_json, end=end)
    assert done.returncode == 66
    assert "Traceback" not in done.stderr
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("encode", "--help")], ids=" ".join)
@pytest.mark.parametrize(("end", "code"), [(">/dev/full", 73), (">&-", 0), ("| true; exit ${PIPESTATUS[0]}", 0)])
def test_a_result_that_is_only_printed(work: Path, arguments: tuple[str, ...], end: str, code: int) -> None:
    done = shell(work, *arguments, end=end)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("ERROR") == (code == 73)


UNICODE, LATIN_1 = "f\xfcr\u20ac\U0001f3ac.mkv", os.fsdecode(b"caf\xe9.mkv")
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"PYTHONIOENCODING": "ascii:strict"}, UNICODE),
        ({"PYTHONIOENCODING": "latin-1:strict"}, UNICODE),
        ({"PYTHONIOENCODING": "latin-1:strict"}, LATIN_1),
        ({"LC_ALL": "C"}, LATIN_1),
        (C_LOCALE, UNICODE),
        (C_LOCALE, LATIN_1),
        (C_LOCALE | {"LC_ALL": "POSIX", "FORCE_COLOR": "1"}, UNICODE),
    ],
    ids=lambda value: ascii(value) if isinstance(value, str) else "-".join(value.values()),
)
def test_names_that_the_locale_cannot_encode(work: Path, environment: dict[str, str], name: str) -> None:
    (work.parent / "in.mkv").rename(work.parent / name)
    arguments = ["encode", "--src", f"../{name}", "--output", name, "--prove", "none", "--no-equal-size"]
    for as_json in (False, True):
        done = shell(work, *arguments, *["--json", "--overwrite"] * as_json, end="", **environment)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["output"]["path"].endswith(".mkv")
    assert sorted(path.name for path in work.iterdir()) == sorted([name, f"{name}.saliency.npz"])
    missing = shell(work, "encode", "--src", f"no{name}", "--output", "x.mkv", end="", **environment)
    assert missing.returncode == 66
    assert "Traceback" not in missing.stderr
