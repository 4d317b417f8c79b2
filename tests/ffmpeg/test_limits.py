"""Limits of the process end as one line and a documented exit code, never as a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from clips import make_clip

from gpu_saliency.cli import _lacking


@pytest.mark.parametrize("files", [6, 12, 24, 48])
@pytest.mark.parametrize("command", ["encode", "plan"])
def test_few_open_files(command: str, files: int, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", size="64x48")
    output = tmp_path / "out.mkv"
    arguments = [command, "--src", clip, "--output", output]
    limited = f'ulimit -n {files} && exec "$@"'
    program = ["bash", "-c", limited, "bash", sys.executable, "-m", "gpu_saliency", *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
    assert done.returncode in (0, 65, 69, 73, 74), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("ERROR: ") == (1 if done.returncode else 0)
    left = {path.name for path in tmp_path.iterdir()} - {"in.mp4"}
    assert bool(left) == (done.returncode == 0)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.EMFILE, "Too many open files"), "open files"),
        (OSError(errno.ENFILE, "Too many open files in system"), "open files"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "processes or threads"),
        (RuntimeError("can't start new thread"), "processes or threads"),
    ],
)
def test_the_limit_is_named(error: Exception, what: str) -> None:
    lacking = _lacking(error)
    assert lacking is not None
    assert lacking.exit_code == 69
    assert f"not enough {what}" in lacking.message


@pytest.mark.parametrize("error", [RuntimeError("x"), OSError(errno.EINVAL, "x"), ValueError("memory"), KeyError("x")])
def test_other_errors_stay_internal(error: Exception) -> None:
    assert _lacking(error) is None
