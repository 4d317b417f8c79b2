"""Measures a ladder against separate encodes of the same outputs, each of which analyses the clip (no cache), by turns in one run.

    python benchmarks/ladder_time.py --source CLIP [--rungs 1280x720,854x480,640x360] [--preset veryfast] [--repeat 2] [--json OUT]

The table gives the medians of wall-clock and CPU time (all child processes included). Ratios may be compared between machines.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from facts import about_run
from rich.console import Console
from rich.table import Table

PROGRAM = (sys.executable, "-m", "gpu_saliency")


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of ``run``, with its child processes."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ladder(source: Path, folder: Path, rungs: list[str], settings: list[str]) -> None:
    words = [word for rung in rungs for word in ("--rung", rung)]
    command = [*PROGRAM, "ladder", "--src", source, "--out-dir", folder, *words, *settings]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def separately(source: Path, folder: Path, rungs: list[str], settings: list[str]) -> None:
    folder.mkdir()
    for rung in rungs:
        command = [*PROGRAM, "encode", "--src", source, "--output", folder / f"{rung}.mp4", "--scale", rung, *settings]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--rungs", default="1280x720,854x480,640x360")
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--keyint", default="48")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rungs, settings = given.rungs.split(","), ["--preset", given.preset, "--keyint", given.keyint, "--no-cache", "--quiet"]
    ways = {"ladder": ladder, "separate encodes": separately}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(given.repeat):
            for name, way in ways.items():
                folder = Path(temporary) / f"{name.replace(' ', '-')}-{number}"
                times[name].append(timed(partial(way, given.source, folder, rungs, settings)))
    medians = {name: [round(median(one), 2) for one in zip(*found, strict=True)] for name, found in times.items()}
    table = Table("", "wall s", "CPU s", title=f"{given.source.name}: {', '.join(rungs)}, libx264 {given.preset}")
    for name, (wall, cpu) in medians.items():
        table.add_row(name, f"{wall:.1f}", f"{cpu:.1f}")
    wall, cpu = (medians["separate encodes"][i] / medians["ladder"][i] for i in (0, 1))
    table.add_row("ratio", f"{wall:.2f}", f"{cpu:.2f}")
    Console().print(table)
    if given.json is not None:
        given.json.write_text(json.dumps(about_run() | {"medians": medians, "times": times, "ratio": [wall, cpu]}, indent=2))


if __name__ == "__main__":
    main()
