"""Runs cases one by one: reads names from stdin, writes verdicts to stdout, a JSON object a line.

It imports the program once and forks for each case, so that a case costs its own work and not the imports'. It has one thread and
opens no library's context, so the copies are as good as new; one case in 16, and all with signals, start a new interpreter instead.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fuzzing import make_fault, make_model, make_options, make_playlist, make_sidecar, make_source
from fuzzing.case import FAILED, Case, Name, Verdict
from fuzzing.launch import describe, run_case, snapshot
from fuzzing.nursery import Nursery
from fuzzing.oracle import judge
from fuzzing.system import become_subreaper

Maker = Callable[[Name, Nursery, Path], Case]
MAKERS: dict[str, Maker] = {
    "source": make_source.make,
    "playlist": make_playlist.make,
    "sidecar": make_sidecar.make,
    "model": make_model.make,
    "options": make_options.make,
    "signal": make_fault.make_signal,
    "kill": make_fault.make_kill,
    "disk": make_fault.make_disk,
    "limit": make_fault.make_limit,
    "stream": make_fault.make_stream,
}
# What a run imports sooner or later.
_IMPORTS = (
    "gpu_saliency.cli",
    "gpu_saliency.preview.session",
    "onnxruntime",
    "imageio_ffmpeg",
    "rich.progress",
    "rich.traceback",
    "numpy.lib.format",
)


def do(name: Name, nursery: Nursery, place: Path, keep: Path | None, usual: float, limit: float) -> Verdict:
    """Make, run and judge the case ``name`` in an empty folder below ``place``; ``keep`` receives the files of a failed one."""
    folder = place / str(name).replace(":", "-")
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("in", "out", "tmp", "home", "harness"):
        (folder / part).mkdir(parents=True)
    case = MAKERS[name.kind](name, nursery, folder)
    before = snapshot(folder)
    run = run_case(case, folder, usual, limit)
    again = None
    if case.fault.again and not run.processes:
        # In a second namespace it is process 1 again.
        case.arguments.append("--overwrite")
        calm = replace(case.fault, signal=0)
        again = run_case(replace(case, fault=calm), folder, usual, limit)
        after = snapshot(folder)
        again.files = [path for path in after if after[path] != before.get(path)]
    verdict = judge(name, case, run, folder, limit / 2, again)
    verdict.command = describe(case, folder)
    if verdict.result == FAILED and keep is not None:
        kept = keep / folder.name
        shutil.rmtree(kept, ignore_errors=True)
        (folder / "command").write_text(verdict.command + "\n")
        (folder / "verdict.json").write_text(json.dumps(verdict.to_json(), indent=2) + "\n")
        shutil.copytree(folder, kept, symlinks=True, ignore=shutil.ignore_patterns("home"))
        verdict.kept = str(kept)
    shutil.rmtree(folder, ignore_errors=True)
    return verdict


def main() -> None:
    """``worker.py NURSERY PLACE KEEP USUAL LIMIT``; KEEP may be empty."""
    nursery, place, keep = Nursery(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3] else None
    usual, limit = float(sys.argv[4]), float(sys.argv[5])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    become_subreaper()
    for module in _IMPORTS:
        importlib.import_module(module)
    for line in iter(sys.stdin.readline, ""):
        name = Name.parse(line.strip())
        try:
            verdict = do(name, nursery, place, keep, usual, limit)
        except Exception as error:
            verdict = Verdict(str(name), "", FAILED, "harness", f"{type(error).__name__}: {error}")
        answers.write(json.dumps(verdict.to_json()) + "\n")


if __name__ == "__main__":
    main()
