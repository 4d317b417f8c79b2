"""SIGKILL at any moment: the next run succeeds, and neither a process nor a file remains after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import stub_ffmpeg
from clips import make_clip
from kills import NAMESPACE, kill_runs, missing_namespace, processes_with, strays
from waiting import wait_until

_KILLS, _SEED = 4, 20
"""``scripts/random_kills.py`` makes more."""


@pytest.mark.parametrize("place", ["plain", "first process of a namespace"])
def test_random_kills(tmp_path: Path, place: str) -> None:
    prefix: tuple[str, ...] = ()
    if place != "plain":
        if reason := missing_namespace():
            pytest.skip(reason)
        prefix = NAMESPACE
    clip = make_clip(tmp_path / "in.mkv", size="160x96")
    assert len(list(kill_runs(clip, tmp_path / "runs", _KILLS, _SEED, prefix))) == _KILLS


@pytest.mark.parametrize("wrapper", ["", "import subprocess; sys.exit(subprocess.run([{real!r}, *a]).returncode)"])
def test_programs_end_with_their_killed_parent(tmp_path: Path, wrapper: str) -> None:
    """Also the ffmpeg that a wrapper runs as its child. The encode is endless; its input is repeated without limit."""
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    script = "i = a.index('-i')\na[i:i] = ['-stream_loop', '-1']\n"
    stub = stub_ffmpeg(tmp_path, script + (wrapper.format(real=_bundled()) if wrapper else "real()"))
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    command = [sys.executable, "-m", "gpu_saliency", "encode", "--src", str(clip), "--output", str(work / "out.mkv")]
    command += ["--every", "1000", "--ffmpeg-bin", str(stub), "--quiet"]
    environment = os.environ | {"TMPDIR": str(temporary), "KILL_TEST_PARENT": str(tmp_path)}
    with subprocess.Popen(command, env=environment) as process:
        wait_until(
            lambda: any(path.stat().st_size for path in work.rglob("part*")),
            "the encode writes",
            alive=lambda: process.poll() is None,
        )
        process.send_signal(signal.SIGKILL)
    mark = f"KILL_TEST_PARENT={tmp_path}"
    wait_until(lambda: not processes_with(mark), "no process remains")
    assert strays(work, temporary) == []


def _bundled() -> str:
    from clips import FFMPEG

    return FFMPEG
