"""The launcher finds what a run leaves behind, with programs that misbehave on purpose in place of the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing.case import Run

_HELPERS = Path(__file__).resolve().parents[1] / "helpers"
# `python -m` looks in the current folder first, and the current folder of a run is its case's.
_LAUNCH = """
import json, resource, sys
from dataclasses import asdict
from pathlib import Path
from fuzzing.case import Case, Fault
from fuzzing.launch import run_case
from fuzzing.system import become_subreaper
become_subreaper()
fault, limit = json.loads(sys.argv[2]), float(sys.argv[3])
fault["disk"] = tuple(map(tuple, fault.get("disk", ())))
fault["limits"] = tuple(map(tuple, fault.get("limits", ())))
print(json.dumps(asdict(run_case(Case("x", [], fresh=True, fault=Fault(**fault)), Path(sys.argv[1]), 1.0, limit))))
"""


def _launch(folder: Path, program: str, limit: float = 60, **fault: object) -> Run:
    """Run ``program`` as if it were the command line."""
    for part in ("in", "out", "tmp", "home", "harness", "gpu_saliency"):
        (folder / part).mkdir()
    (folder / "gpu_saliency" / "__init__.py").touch()
    (folder / "gpu_saliency" / "__main__.py").write_text("import os, signal, subprocess, sys, time\n" + program)
    environment = dict(os.environ) | {"PYTHONPATH": str(_HELPERS), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _LAUNCH, str(folder), json.dumps(fault), str(limit)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Run(**json.loads(done.stdout))


def test_a_clean_run_leaves_nothing(tmp_path: Path) -> None:
    run = _launch(tmp_path, "print('a'); sys.stderr.write('b'); sys.exit(65)")
    assert (run.code, run.stdout, run.stderr, run.files, run.processes) == (65, "a\n", "b", [], [])


def test_files_are_found(tmp_path: Path) -> None:
    program = (
        "open(os.environ['TMPDIR'] + '/x', 'w'); os.mkdir('out/.o'); open('in/clip', 'w'); open(os.environ['HOME'] + '/cache', 'w')"
    )
    assert _launch(tmp_path, program).files == ["in/clip", "out/.o", "tmp/x"]


@pytest.mark.parametrize("session", [False, True])
def test_a_process_is_found_even_in_a_session_of_its_own(session: bool, tmp_path: Path) -> None:
    program = f"subprocess.Popen(['sleep', '600'], start_new_session={session})"
    run = _launch(tmp_path, program)
    assert run.code == 0
    assert run.processes == ["sleep 600"]


def test_a_process_that_ends_in_time_is_none(tmp_path: Path) -> None:
    assert _launch(tmp_path, "subprocess.Popen(['sleep', '0.3'])").processes == []


def test_a_death_by_signal_is_seen(tmp_path: Path) -> None:
    assert _launch(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)").code == -11


def test_a_hang_is_ended(tmp_path: Path) -> None:
    run = _launch(tmp_path, "time.sleep(600)", limit=1.0)
    assert run.hung
    assert not run.unendable
    assert run.code == -15


def test_a_run_that_ignores_sigterm_is_ended_too(tmp_path: Path) -> None:
    run = _launch(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)", limit=1.0)
    assert run.unendable
    assert run.code == -9


def test_a_signal_arrives(tmp_path: Path) -> None:
    program = "signal.signal(signal.SIGHUP, lambda *_: sys.exit(3)); time.sleep(600)"
    assert _launch(tmp_path, program, signal=1, moment=1.0).code in (3, -1)


def test_a_limit_counts(tmp_path: Path) -> None:
    program = "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('out/x', 'wb').write(bytes(5000))"
    assert _launch(tmp_path, program, limits=[["RLIMIT_FSIZE", 4096]]).code == -25


def test_a_small_disk_is_full(tmp_path: Path) -> None:
    run = _launch(tmp_path, "open('out/x', 'wb').write(bytes(1 << 20))", disk=[["out", 64]])
    if run.skipped:
        pytest.skip(run.skipped)
    assert "No space left" in run.stderr
    assert run.files == ["out/x"]


def test_a_read_only_disk_refuses_root_too(tmp_path: Path) -> None:
    run = _launch(tmp_path, "open('out/x', 'wb')", disk=[["out", 0]])
    if run.skipped:
        pytest.skip(run.skipped)
    assert "Read-only" in run.stderr


def test_memory_is_bounded(tmp_path: Path) -> None:
    run = _launch(tmp_path, "x = [bytearray(b'x') * (1 << 28) for _ in range(64)]; time.sleep(600)")
    assert run.over_memory


def test_a_pid_namespace_makes_it_process_1(tmp_path: Path) -> None:
    run = _launch(tmp_path, "sys.exit(40 + os.getpid())", pid_namespace=True)
    if run.code == 99:
        pytest.skip("no PID namespace here")
    assert run.code == 41
