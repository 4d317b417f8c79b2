"""Measures the queue of a batch: submit, claim and status in milliseconds, and memory, with many jobs.

    python benchmarks/queue_speed.py [--jobs 10000] [--folder DIR] [--json OUT]

The database is made in DIR, whose disk decides the time of a transaction: each one is flushed (``synchronous=FULL``). A plain flush
of 4 KiB to the same folder is timed too. Each figure is the median and the largest of the calls.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facts import about_run
from rich.console import Console
from rich.table import Table

from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue

_CALLS = 200


def timed(act: Callable[[int], object], calls: int) -> dict[str, float]:
    """Median and largest time of a call in milliseconds."""
    found = []
    for number in range(calls):
        began = time.perf_counter()
        act(number)
        found.append(1000 * (time.perf_counter() - began))
    return {"median_ms": round(statistics.median(found), 3), "largest_ms": round(max(found), 3)}


def spec(number: int) -> JobSpec:
    """A job with a few options."""
    options: dict[str, str | bool] = {"crf": "28", "encoder": "libx265", "preset": "slow", "threads": "8"}
    return JobSpec(f"/data/sources/some/folder/{number:06d}.mkv", f"/data/outputs/some/folder/{number:06d}.mp4", options)


def measure(folder: Path, jobs: int) -> dict[str, Any]:
    """Fill a queue with ``jobs`` and time its operations."""
    owner = Owner.current()
    flushed = folder / "flushed"

    def flush(_: int) -> None:
        with flushed.open("ab") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())

    figures: dict[str, Any] = {"flush of 4 KiB": timed(flush, _CALLS)}
    flushed.unlink()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Queue(folder / "queue.sqlite") as queue:
        began = time.perf_counter()
        queue.add((spec(number), "1:2:3") for number in range(jobs))
        figures["submit all at once, each"] = {"median_ms": round(1000 * (time.perf_counter() - began) / jobs, 4)}
        figures["submit one"] = timed(lambda number: queue.add([(spec(jobs + number), "1:2:3")]), _CALLS)
        figures["claim"] = timed(lambda _: queue.claim("plan", owner), _CALLS)
        result = {"roi": {"block": list(range(400))}}  # about 2 kB, as an encode's
        figures["finish"] = timed(lambda number: queue.finish(number + 1, result, "1:2:3"), _CALLS)
        figures["status: counts"] = timed(lambda _: queue.counts(), _CALLS)
        figures["status: all jobs"] = timed(lambda _: queue.jobs(), 5)
    figures["memory"] = {"before_mib": before >> 10, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}
    figures["database"] = {"mib": round((folder / "queue.sqlite").stat().st_size / 2**20, 1)}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        figures = measure(Path(folder), given.jobs)
        disk = next((line.split()[0:3:2] for line in _mounts() if folder.startswith(line.split()[1])), ["unknown", ""])
    table = Table("operation", "median", "largest")
    for name, one in figures.items():
        unit = "ms" if any(key.endswith("_ms") for key in one) else "MiB"
        table.add_row(name, *(f"{value:g} {unit}" for value in one.values()))
    Console().print(f"{given.jobs} jobs on {' '.join(disk)}", table)
    if given.json is not None:
        given.json.write_text(json.dumps(about_run() | {"jobs": given.jobs, "disk": disk, "figures": figures}, indent=1) + "\n")


def _mounts() -> list[str]:
    """The mounts, the deepest first."""
    return sorted(Path("/proc/mounts").read_text().splitlines(), key=lambda line: -len(line.split()[1]))


if __name__ == "__main__":
    main()
