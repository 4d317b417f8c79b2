"""scripts/gpu-check run: judges by exit status only, keeps logs, respects its time limits, and its table is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from clips import make_clip
from gpu_check.checks import Check, first_checks, main_checks
from gpu_check.machine import missing_parts, write_errors
from gpu_check.memory import growth
from gpu_check.outcomes import ARCHIVE, FAILED, NOT_STARTED, PASSED, RUNNING, SKIPPED, Outcome, Outcomes, table
from gpu_check.processes import Runner
from requirements import MISSING
from stub_driver import NO_GPU, build_driver

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "scripts")))}


def runner_in(tmp_path: Path, seconds: float = 600) -> tuple[Runner, Outcomes]:
    (tmp_path / "logs").mkdir(exist_ok=True)
    outcomes = Outcomes(tmp_path / "logs", tmp_path / "results")
    return Runner(tmp_path / "logs", outcomes, ENVIRONMENT, time.monotonic() + seconds), outcomes


def python(name: str, code: str, seconds: float = 60, **options: object) -> Check:
    return Check(name, [sys.executable, "-c", code], seconds, **options)  # type: ignore[arg-type]


def outcome_of(tmp_path: Path, code: str, limit: float = 60) -> Outcome:
    return runner_in(tmp_path)[0].execute(python("one, two", code), limit)


def packed(path: Path) -> dict[str, str]:
    """The files of an archive of results, as text."""
    with tarfile.open(path / ARCHIVE) as archive:
        names = [one for one in archive.getmembers() if one.isfile()]
        return {one.name: archive.extractfile(one).read().decode() for one in names}  # type: ignore[union-attr]


def test_a_check_passes_by_its_exit_status(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, "print('first'); print('all is well')")
    assert (outcome.state, outcome.line) == (PASSED, "all is well")
    assert (tmp_path / "logs" / "one-two.log").read_text().splitlines()[1:] == ["first", "all is well"]


@pytest.mark.parametrize(("ending", "shown"), [("sys.exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "signal 9")])
def test_a_check_that_ends_badly_fails_whatever_it_prints(tmp_path: Path, ending: str, shown: str) -> None:
    outcome = outcome_of(tmp_path, f"import os, sys; print('all is well', flush=True); {ending}")
    assert (outcome.state, outcome.line) == (FAILED, f"all is well ({shown})")


def test_a_check_that_takes_too_long_or_cannot_start_fails(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, "import time; time.sleep(10**6)", 0.5)
    assert (outcome.state, outcome.line) == (FAILED, "ended after its limit of 0 s")
    missing = runner_in(tmp_path)[0].execute(Check("none", ["/no/such/program"], 9), 9)
    assert missing.state == FAILED
    assert "No such file" in missing.line


def test_a_failed_check_stops_no_other(tmp_path: Path) -> None:
    runner, outcomes = runner_in(tmp_path)
    checks = [python("bad", "1 / 0"), python("good", "print('fine')"), python("needy", "", needs=("cupy",)), python("none", "")]
    runner.run([*checks, python("timed", "print('alone')", is_timing=True)], {"cupy": "no cupy"}, 2)
    states = {one.name: one.state for one in outcomes.all}
    assert states == {"bad": FAILED, "good": PASSED, "needy": SKIPPED, "none": PASSED, "timed": PASSED}
    assert list(states) == ["bad", "good", "needy", "none", "timed"]
    assert outcomes.exit_status == 1
    assert "| needy | skipped |  | no cupy |" in table(outcomes.all)


def test_after_the_time_limit_no_check_starts(tmp_path: Path) -> None:
    runner, outcomes = runner_in(tmp_path, seconds=0)
    runner.run([python("late", f"open({str(tmp_path / 'late')!r}, 'w')")], {}, 1)
    assert [(one.name, one.state) for one in outcomes.all] == [("late", NOT_STARTED)]
    assert outcomes.exit_status == 1
    assert not (tmp_path / "late").exists()


def test_the_exit_status_is_0_where_the_rest_is_skipped(tmp_path: Path) -> None:
    runner, outcomes = runner_in(tmp_path)
    runner.run([python("good", ""), python("needy", "", needs=("clips",))], {"clips": "none"}, 1)
    assert outcomes.exit_status == 0


def test_the_results_are_one_archive_after_each_check(tmp_path: Path) -> None:
    """A check looks at the archive while it runs: it has the log of the check before, and says that this one is running."""
    runner, _ = runner_in(tmp_path)
    copy = f"import shutil; shutil.copy({str(tmp_path / 'results' / ARCHIVE)!r}, {str(tmp_path)!r})"
    runner.run([python("first", "print('seen')"), python("second", copy), python("third", "")], {}, 1)
    during, after = packed(tmp_path), packed(tmp_path / "results")
    assert "seen" in during["gpu-check/first.log"]
    states = [[one["state"] for one in json.loads(files["gpu-check/outcomes.json"])] for files in (during, after)]
    # The archive was written at the end of the first check, before the second began.
    assert states == [[PASSED, NOT_STARTED, NOT_STARTED], [PASSED, PASSED, PASSED]]
    assert after["gpu-check/table.md"].count(PASSED) == 3
    assert [path.name for path in (tmp_path / "results").iterdir()] == [ARCHIVE]


def test_the_table() -> None:
    rows = table([Outcome("a", PASSED, 1.2, "fine"), Outcome("b", FAILED, 3.7, "x | y (exit status 1)"), Outcome("c", RUNNING)])
    assert rows[2:] == [
        "| a | passed | 1 s | fine |",
        "| b | **failed** | 4 s | x \\| y (exit status 1) |",
        "| c | running |  |  |",
    ]


def test_what_the_first_checks_find_decides_what_is_skipped(tmp_path: Path) -> None:
    works = dict.fromkeys(("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"))
    imports = dict.fromkeys(("cupy", "PyNvVideoCodec", "onnxruntime", "CUDA provider", "inference"))

    def missing(**broken: str) -> set[str]:
        names = {"nvcuvid": "libnvcuvid.so.1", "cuda": "libcuda.so.1", "provider": "CUDA provider"}
        errors = {names.get(name, name): error for name, error in broken.items()}
        write_errors(tmp_path / "libraries.json", {name: errors.get(name) for name in works})
        write_errors(tmp_path / "imports.json", {name: errors.get(name) for name in imports})
        return set(missing_parts(tmp_path, has_clips=True)) - {"compute-sanitizer"}

    assert missing() == set()
    assert missing(nvcuvid="not there") == {"libnvcuvid", "PyNvVideoCodec"}
    assert missing(provider="refused") == {"provider"}
    assert missing(cupy="none") == {"cupy", "provider"}
    assert missing(PyNvVideoCodec="no libnvidia-encode") == {"PyNvVideoCodec"}
    assert missing(cuda="none") == {"cupy", "provider"}
    write_errors(tmp_path / "libraries.json", works)
    write_errors(tmp_path / "imports.json", {"cupy": "ended the process"})
    assert missing_parts(tmp_path, has_clips=False)["provider"] == "cupy: ended the process"
    assert "clips" in missing_parts(tmp_path, has_clips=False)


def commands(tmp_path: Path, clips: list[Path], has_nvdec: bool = True) -> dict[str, Check]:
    checks = [*first_checks(tmp_path), *main_checks(clips, tmp_path, has_nvdec)]
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def test_without_nvdec_the_checks_upload(tmp_path: Path) -> None:
    checks = commands(tmp_path, [Path("a-1080p.mp4"), Path("b.webm")], has_nvdec=False)
    skipped = {name for name, check in checks.items() if {"libnvcuvid", "PyNvVideoCodec"} & set(check.needs)}
    assert skipped == {"NVDEC decode", "parity", "parity, 3 decoders", "bench, all engines"}
    for name in ("parity, upload", "parity, other formats", "memory, upload", "bench", "bench, every frame"):
        command = list(checks[name].command)
        assert command[command.index("--decoders") + 1] == "cpu"


def test_without_a_gpu_every_check_of_it_fails(tmp_path: Path) -> None:
    """Runs the commands of a real run: a check that passes without a GPU would check nothing."""
    if MISSING["cuda"]() is None:
        pytest.skip("this machine has a GPU")
    checks = commands(tmp_path, [make_clip(tmp_path / name) for name in ("a-1080p.mp4", "b-1080p.mp4")])
    assert {"kernel tests", "sanitizer, memcheck", "sanitizer, racecheck", "device tests", "bench, all engines"} <= set(checks)
    runner, _ = runner_in(tmp_path)
    for name in ("facts", "parity", "bench", "memory, 1 decoder", "NVDEC decode"):
        outcome = runner.execute(checks[name], 60)
        assert outcome.state == FAILED, name
        log = next((tmp_path / "logs").glob(f"{name.replace(', ', '-').replace(' ', '-')}.log")).read_text()
        # Library code spells the setting as Python does, the command line as a flag.
        assert re.search("(--device |device=)cuda: |NVDEC's library cannot be used", log), log


@pytest.mark.parametrize("driver", [None, NO_GPU])
def test_a_run_without_a_gpu_tells_the_truth(tmp_path: Path, driver: str | None) -> None:
    """The whole program, on a machine without a driver, and with one that finds no GPU."""
    if MISSING["cuda"]() is None:
        pytest.skip("this machine has a GPU")
    (tmp_path / "pack-1").mkdir()
    make_clip(tmp_path / "pack-1" / "a-1080p.mp4")
    environment = dict(os.environ, PYTHON=sys.executable)
    if driver is not None:
        environment["LD_LIBRARY_PATH"] = str(build_driver(tmp_path / "driver", driver))
    command = [str(ROOT / "scripts" / "gpu-check"), "run", str(tmp_path), "--minutes", "9", "--results", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1, done.stderr
    states = {row.split(" | ")[0].removeprefix("| "): row for row in done.stdout.splitlines()[2:]}
    assert "**failed**" in states["libraries"]
    assert "**failed**" in states["facts"]
    assert "| passed |" in states["unpacking"]
    skipped = [name for name, row in states.items() if "| skipped |" in row]
    assert {"kernel tests", "parity", "parity, upload", "device tests", "bench"} <= set(skipped)
    files = packed(tmp_path / "out")
    assert files["gpu-check/table.md"] == done.stdout
    assert ("libcuda.so.1 loads" in files["gpu-check/libraries.log"]) is (driver is not None)


def test_a_time_limit_kills_the_child_processes_too(tmp_path: Path) -> None:
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
        assert outcome_of(tmp_path, code, limit).state == FAILED
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


def test_memory_grows_steadily_or_not() -> None:
    assert growth([1000, 1900, 1900, 2300, 2300, 2300]) == 0
    assert growth([1000, 1100, 1300, 1500, 1700, 1900]) == 200
