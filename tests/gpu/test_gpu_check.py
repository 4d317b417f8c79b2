"""scripts/gpu-check judges by exit status only, keeps logs and respects its time limits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from clips import make_clip
from packets import video_times
from requirements import MISSING

ROOT = Path(__file__).parents[2]

import gpu_check  # noqa: E402 - it lies beside the package
from gpu_check import Check, Outcome  # noqa: E402


def outcome_of(tmp_path: Path, code: str, limit: float = 30) -> Outcome:
    return gpu_check._run(Check("one, two", [sys.executable, "-c", code], 30, {}), limit, tmp_path, dict(os.environ))


def test_a_check_passes_by_its_exit_status(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, "print('first'); print('all is well')")
    assert (outcome.passed, outcome.last_line) == (True, "all is well")
    assert (tmp_path / "one-two.log").read_text().splitlines()[1:] == ["first", "all is well"]


def test_a_check_with_a_bad_exit_status_fails_whatever_it_prints(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, "import sys; print('all is well'); sys.exit(3)")
    assert (outcome.passed, outcome.last_line) == (False, "all is well (exit status 3)")


def test_a_check_that_takes_too_long_or_cannot_start(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, "import time; time.sleep(10**6)", 0.5)
    assert not outcome.passed
    assert "timed out" in outcome.last_line
    assert not outcome_of(tmp_path, "print('never')", 0).passed
    missing = gpu_check._run(Check("none", ["/no/such/program"], 9, {}), 9, tmp_path, {})
    assert not missing.passed
    assert "No such file" in missing.last_line


def test_the_table() -> None:
    rows = gpu_check.table([Outcome("a", True, 1.2, "fine"), Outcome("b", False, 3.7, "broken (exit status 1)")])
    assert rows[2:] == ["| a | passed | 1 s | fine |", "| b | **failed** | 4 s | broken (exit status 1) |"]


def test_wheels_are_unpacked_once_and_their_programs_are_executable(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "tool-1-py3-none-any.whl", "w") as wheel:
        program = zipfile.ZipInfo("tool/program")
        program.external_attr = 0o100755 << 16
        wheel.writestr(program, "#!/bin/sh\necho here\n")
        wheel.writestr("tool/__init__.py", "")
    site = gpu_check.unpack(tmp_path)
    assert subprocess.run([site / "tool" / "program"], capture_output=True, text=True, check=True).stdout == "here\n"
    (site / "tool" / "program").unlink()
    assert not (gpu_check.unpack(tmp_path) / "tool" / "program").exists()


def test_without_a_gpu_every_check_fails(tmp_path: Path) -> None:
    """Runs the commands of a real run: a check that passes without a GPU would check nothing."""
    if MISSING["cuda"]() is None:
        pytest.skip("this machine has a GPU")
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "a.mp4")
    checks = {check.name: check for check in gpu_check.checks(tmp_path, tmp_path)}
    assert {"tests", "parity, upload", "parity, 3 decoders", "bench, all engines", "sanitizer, memcheck"} <= set(checks)
    assert gpu_check._run(checks["clips"], 60, tmp_path, os.environ | {"PYTHONPATH": str(ROOT)}).passed
    for name in ("facts", "parity", "bench"):
        outcome = gpu_check._run(checks[name], 60, tmp_path, os.environ | {"PYTHONPATH": str(ROOT)})
        assert not outcome.passed
        # Library code spells the setting as Python does, the command line as a flag.
        assert re.search("(--device |device=)cuda: ", outcome.last_line)


def test_a_timeout_kills_the_child_processes_too(tmp_path: Path) -> None:
    code = f"""
import pathlib, subprocess
child = subprocess.Popen(["sleep", "infinity"])
path = pathlib.Path({str(tmp_path / "child")!r})
path.with_suffix(".part").write_text(str(child.pid))
path.with_suffix(".part").rename(path)
child.wait()
"""
    # On a busy machine Python may need longer than the first limits to start the child.
    for limit in (1, 4, 16, 64):
        assert not outcome_of(tmp_path, code, limit).passed
        if (tmp_path / "child").exists():
            break
    stat = Path("/proc", (tmp_path / "child").read_text(), "stat")
    # A killed process takes a moment to exit: it is gone, or a zombie that its new parent has not reaped.
    deadline = time.monotonic() + 60
    while (state := state_of(stat)) not in ("gone", "Z", "X") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state in ("gone", "Z", "X")


def state_of(stat: Path) -> str:
    """The state letter of proc(5), or ``gone``."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def test_clips_are_lengthened(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "a.mp4")
    check = next(check for check in gpu_check.checks(tmp_path, tmp_path) if check.name == "clips")
    assert gpu_check._run(check, 60, tmp_path, os.environ | {"PYTHONPATH": str(ROOT)}).passed
    assert len(video_times(tmp_path / "long" / "a.mp4")) == 24 * gpu_check.TIMES
