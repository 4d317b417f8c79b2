"""``run``: unpacks what is there and runs all checks before the time limit."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gpu_check.archive import unpack_archive
from gpu_check.checks import ROOT, first_checks, main_checks
from gpu_check.machine import driver_folders, missing_parts
from gpu_check.outcomes import FAILED, PASSED, Outcome, Outcomes, table
from gpu_check.packs import join_parts, packed_files
from gpu_check.processes import Runner

_CLIPS = (".mp4", ".mkv", ".webm")
_ARCHIVES = ".tar.xz"


def run(folder: Path, minutes: float, results: Path, patience: float = 1) -> int:
    """Run all checks on the packs in ``folder`` within ``minutes``, each within its own limit times ``patience``.

    Returns the exit status.
    """
    deadline = time.monotonic() + 60 * minutes
    work = folder / "work"
    logs, site = work / "logs", work / "site"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    outcomes = Outcomes(logs, results)
    runner = Runner(logs, outcomes, {}, deadline)
    signal.signal(signal.SIGTERM, _exit)
    with ThreadPoolExecutor(1) as pool:
        # The search may take seconds, like the unpacking.
        searched = pool.submit(driver_folders)
        clips = _unpack(folder, site, outcomes)
        runner.environment = environment(site, work / "cache", searched.result())
    runner.run([one.with_patience(patience) for one in first_checks(logs)], {}, 3)
    missing = missing_parts(logs, bool(clips))
    checks = [one.with_patience(patience) for one in main_checks(clips, logs, has_nvdec="libnvcuvid" not in missing)]
    # Most checks are busy on a core or two beside the GPU.
    runner.run(checks, missing, (os.cpu_count() or 1) // 2)
    outcomes.write()
    print("\n".join(table(outcomes.all)))
    return outcomes.exit_status


def _exit(number: int, _: Any) -> None:
    raise SystemExit(128 + number)


def environment(site: Path, cache: Path, folders: list[str]) -> dict[str, str]:
    """The variables of all checks: packages from ``site``, driver libraries from ``folders``, and a cache of their own."""

    def joined(name: str, *first: str) -> str:
        return os.pathsep.join(filter(None, (*first, os.environ.get(name))))

    variables = {
        "PYTHONPATH": joined("PYTHONPATH", str(ROOT), str(ROOT / "scripts"), str(site)),
        "PYTHONUNBUFFERED": "1",
        "GPU_SALIENCY_CACHE_DIR": str(cache),
    }
    if folders:
        variables["LD_LIBRARY_PATH"] = joined("LD_LIBRARY_PATH", *folders)
    return os.environ | variables


def _unpack(folder: Path, site: Path, outcomes: Outcomes) -> list[Path]:
    """Unpack the archives of all packs into ``site``; returns the clips. What cannot be unpacked is a failed check."""
    started = time.monotonic()
    files, problems = packed_files(folder)
    joined = folder / "work" / "joined"
    joined.mkdir(exist_ok=True)
    paths = {name: join_parts(parts, joined / name) for name, parts in files.items() if name.endswith((*_CLIPS, _ARCHIVES))}
    archives = [path for name, path in paths.items() if name.endswith(_ARCHIVES)]
    clips = [path for name, path in paths.items() if name.endswith(_CLIPS)]
    with ThreadPoolExecutor() as pool:
        for path, error in zip(archives, pool.map(_problem(lambda path: unpack_archive(path, site)), archives), strict=True):
            if error is not None:
                problems.append(f"{path.name}: {error}")
    names = ", ".join(path.name for path in archives) or "no archive (the machine's own packages are used)"
    line = "; ".join([f"{names}; {len(clips)} clips", *problems])
    outcomes.set(Outcome("unpacking", FAILED if problems else PASSED, time.monotonic() - started, line))
    return sorted(clips)


def _problem(function: Callable[[Path], None]) -> Callable[[Path], Exception | None]:
    def call(path: Path) -> Exception | None:
        try:
            function(path)
        except Exception as error:
            return error
        return None

    return call
