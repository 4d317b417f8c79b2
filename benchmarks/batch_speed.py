"""Measures a batch beside a shell loop of ``encode`` over the same short clips, paired in one run.

    python benchmarks/batch_speed.py [--clips 200] [--size 320x180] [--seconds 2] [--options "--preset veryfast"] [--json OUT]
        [--picture OUT.svg]

Half of the loop runs before the batch and half after it, so that a change of the machine's load meets both. Both use the same
threads for each encode and no cache. The table has the wall-clock times, the processor's time of each with all child processes, and
how much of the cores each used; ``bound`` is the ratio that a batch with the same work on all cores at all times would have. The
picture shows the jobs in each stage and the cores that the batch used over time. ``encoder share`` is that of the programs that the
workers started in the processor's time of the workers: ffmpeg, the encoder in it among them; the rest is Python and the model.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import _paths  # noqa: F401 - before the modules that it makes importable
from clips import make_clip
from facts import about_run
from rich.console import Console
from rich.table import Table
from svg_plot import Line, Plot, draw

from gpu_saliency.batch.place import Place
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.errors import QueueError

_STEP = 0.25
"""Seconds between two looks at the batch."""
_POINTS = 80
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """Looks at a batch while it runs: jobs in each stage, and the processor's time of its processes."""

    pid: int
    queue: Path
    samples: list[tuple[float, int, int, float]] = field(default_factory=list)
    """Seconds from the start, jobs in plan and in encode, processor seconds so far."""
    workers: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Processor seconds of each worker and of the programs that it started, by process."""

    def until(self, is_over: Callable[[], bool]) -> None:
        began = time.perf_counter()
        while not is_over():
            total = 0.0
            for pid, depth in _tree(self.pid):
                with contextlib.suppress(OSError, IndexError):
                    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
                    own, children = (sum(int(one) for one in fields[at : at + 2]) / _TICKS for at in (11, 13))
                    total += own + children
                    if depth == 1:
                        self.workers[pid] = own, children
            counts: dict[str, int] = {}
            with contextlib.suppress(QueueError), Queue(self.queue, create=False) as queue:
                counts = queue.counts()
            at = time.perf_counter() - began
            self.samples.append((at, counts.get("running/plan", 0), counts.get("running/encode", 0), total))
            time.sleep(_STEP)

    def encoder_share(self) -> float:
        own, programs = (sum(one[i] for one in self.workers.values()) for i in (0, 1))
        return programs / max(own + programs, 1e-9)

    def picture(self, cores: int) -> str:
        """Means over equal pieces of the time, as SVG."""
        pieces = min(_POINTS, max(1, len(self.samples) // 4))
        length = self.samples[-1][0] / pieces
        lines: list[list[tuple[float, float]]] = [[], [], []]
        for number in range(pieces):
            piece = [one for one in self.samples if number * length <= one[0] <= (number + 1) * length]
            if len(piece) < 2:
                continue
            middle = (number + 0.5) * length
            used = (piece[-1][3] - piece[0][3]) / (piece[-1][0] - piece[0][0])
            for line, value in zip(lines, (mean(one[1] for one in piece), mean(one[2] for one in piece), used), strict=True):
                line.append((middle, max(0.0, value)))
        names = ("jobs in plan", "jobs in encode", f"cores used, of {cores}")
        drawn = [Line(name, line, colour=number) for number, (name, line) in enumerate(zip(names, lines, strict=True))]
        return draw([Plot("A batch of short clips", "seconds", "number", drawn)], width=720, height=360)


def _tree(pid: int, depth: int = 0) -> Iterator[tuple[int, int]]:
    """The process and all that it started, with their distance from it."""
    yield pid, depth
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for child in (task / "children").read_text().split():
                    yield from _tree(int(child), depth + 1)


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
    parser.add_argument("--picture", type=Path, default=None)
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
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as running:
            watch = Watch(running.pid, Place.of(folder / "batch").queue)
            watch.until(lambda: running.poll() is not None)
        if running.returncode:
            sys.exit("the batch failed")
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
        "encoder_share": round(watch.encoder_share(), 3),
        "same_files": same,
    }
    table = Table("", "wall", "processor", "use of the cores")
    table.add_row("loop", f"{looped[0]:.1f} s", f"{looped[1]:.1f} s", f"{figures['loop_use']:.0%}")
    table.add_row("batch", f"{batch[0]:.1f} s", f"{batch[1]:.1f} s", f"{figures['batch_use']:.0%}")
    Console().print(f"{given.clips} clips of {given.size}, {same} files are the same", table)
    print(f"ratio {figures['ratio']}, bound {figures['bound']}, encoder share {figures['encoder_share']}")
    if given.picture is not None:
        given.picture.write_text(watch.picture(cores))
    if given.json is not None:
        given.json.write_text(
            json.dumps(about_run() | {"settings": vars(given) | {"json": None, "picture": None}, "figures": figures}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    main()
