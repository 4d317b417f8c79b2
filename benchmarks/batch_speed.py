"""Measures a batch beside a shell loop of ``encode`` over the same short clips, paired in one run.

    python benchmarks/batch_speed.py [--clips 200] [--size 320x180] [--seconds 2] [--options "--preset veryfast"] [--json OUT]

Half of the loop runs before the batch and half after it, so that a change of the machine's load meets both. Both use the same
threads for each encode and no cache. The table has the wall-clock times, the processor's time of each with all child processes, and
how much of the cores each used; ``bound`` is the ratio that a batch with the same work on all cores at all times would have.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _paths  # noqa: F401 - before the modules that it makes importable
from clips import make_clip
from facts import about_run
from rich.console import Console
from rich.table import Table

PROGRAM = [sys.executable, "-m", "gpu_saliency"]


def cpu_seconds() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--options", default="")
    parser.add_argument("--workers", default="auto", help="of the encode stage")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    options = [*shlex.split(given.options), "--no-cache", "--threads", str(cores), "--quiet"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        (folder / "loop").mkdir()
        clips = [
            make_clip(folder / "clips" / f"{number:04d}.mp4", size=given.size, seconds=given.seconds + number % 7 / 10, rate=25)
            for number in range(given.clips)
        ]

        def loop(part: list[Path]) -> tuple[float, float]:
            began, cpu = time.perf_counter(), cpu_seconds()
            for clip in part:
                output = folder / "loop" / clip.name
                subprocess.run(
                    [*PROGRAM, "encode", "--src", clip, "--output", output, *options], check=True, stdout=subprocess.DEVNULL
                )
            return time.perf_counter() - began, cpu_seconds() - cpu

        first = loop(clips[::2])
        began, cpu = time.perf_counter(), cpu_seconds()
        command = [*PROGRAM, "batch", folder / "clips", "--out-dir", folder / "batch", "--encode-workers", given.workers, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        batch = time.perf_counter() - began, cpu_seconds() - cpu
        second = loop(clips[1::2])
        same = sum((folder / "loop" / clip.name).read_bytes() == (folder / "batch" / clip.name).read_bytes() for clip in clips)
    looped = first[0] + second[0], first[1] + second[1]
    figures = {
        "clips": given.clips,
        "loop_seconds": round(looped[0], 2),
        "batch_seconds": round(batch[0], 2),
        "ratio": round(looped[0] / batch[0], 3),
        "loop_cpu_seconds": round(looped[1], 2),
        "batch_cpu_seconds": round(batch[1], 2),
        "loop_use": round(looped[1] / looped[0] / cores, 3),
        "batch_use": round(batch[1] / batch[0] / cores, 3),
        "bound": round(looped[0] * cores / batch[1], 3),
        "same_files": same,
    }
    table = Table("", "wall", "processor", "use of the cores")
    table.add_row("loop", f"{looped[0]:.1f} s", f"{looped[1]:.1f} s", f"{figures['loop_use']:.0%}")
    table.add_row("batch", f"{batch[0]:.1f} s", f"{batch[1]:.1f} s", f"{figures['batch_use']:.0%}")
    Console().print(f"{given.clips} clips of {given.size}, {same} files are the same", table)
    print(f"ratio {figures['ratio']}, bound {figures['bound']}")
    if given.json is not None:
        given.json.write_text(
            json.dumps(about_run() | {"settings": vars(given) | {"json": None}, "figures": figures}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
