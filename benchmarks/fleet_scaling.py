"""Measures what a fleet's size is computed from, and batches with one and two workers, local and on Ray, on this machine.

    python benchmarks/fleet_scaling.py --source CLIP [--clips 8] [--seconds 4] [--options "--preset veryfast"] [--json OUT]

Parts: ``work``, the processor's seconds of the analysis and of a whole encode, each with the seconds of video; ``runs``, batches of
the same clips, each with its wall-clock time and the span from the first start of a job to the last end; ``queue``, exchanges with
the queue actor; ``scheduler``, what a job costs the database with few and many jobs in it; ``ray``, resident memory of Ray's
processes and of an actor, and the peak of the object store.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _paths  # noqa: F401 - before the modules that it makes importable
from clips import ffmpeg
from facts import about_run
from rich.console import Console
from rich.table import Table

from gpu_saliency.batch.engine import Ended
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.local.wire import report_line
from gpu_saliency.batch.place import Place
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.fleet.cluster import open_cluster
from gpu_saliency.fleet.queue_actor import QueueActor

PROGRAM = [sys.executable, "-m", "gpu_saliency"]
LINE_BYTES = 2000
RUNS = (("local", 1), ("ray", 1), ("local", 2), ("ray", 2))


class Asker:
    """A Ray actor that asks the queue actor for orders and reports their ends, without any work."""

    def run(self, queue: Any, name: str, count: int) -> float:
        import ray

        began = time.perf_counter()
        for _ in range(count):
            line = ray.get(queue.pull.remote(name, "plan"))
            ray.get(queue.tell.remote(name, [report_line(Ended(int(line.partition(" ")[0]), "plan", {"text": line}))]))
        return time.perf_counter() - began


def children_seconds() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(command: list[Any]) -> tuple[float, float]:
    """Wall-clock and processor time of a command."""
    began, before = time.perf_counter(), children_seconds()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, children_seconds() - before


def measure_work(clip: Path, folder: Path, seconds: float, options: list[str]) -> dict[str, float]:
    """The analysis alone, and a whole encode, of one clip; the start of the program is measured and taken off."""
    start = timed([*PROGRAM, "plan", "--help"])[1]
    plan = timed([*PROGRAM, "plan", clip, folder / "plan.json", "--no-cache"])
    encode = timed([*PROGRAM, "encode", clip, folder / "whole.mp4", *options])
    return {
        "seconds_of_video": seconds,
        "start_cpu": round(start, 3),
        "analysis_cpu": round(plan[1] - start, 3),
        "encode_cpu": round(encode[1] - start, 3),
        "encode_wall": round(encode[0], 3),
    }


def run_batch(engine: str, workers: int, clips: Path, folder: Path, options: list[str]) -> dict[str, Any]:
    """One batch; ``span`` leaves out the start of the program and of Ray."""
    out = folder / f"{engine}{workers}"
    command = [*PROGRAM, "batch", clips, "--out-dir", out, "--plan-workers", 1, "--encode-workers", workers, *options]
    wall, cpu = timed([*command, *(["--ray", "local"] if engine == "ray" else [])])
    with sqlite3.connect(Place.of(out).queue) as database:
        first, last, done = database.execute("SELECT min(started), max(finished), sum(state = 'done') FROM jobs").fetchone()
    return {
        "engine": engine,
        "workers": workers,
        "wall": round(wall, 2),
        "span": round(last - first, 2),
        "cpu": round(cpu, 2),
        "done": done,
    }


def same_files(first: Path, second: Path, names: list[str]) -> int:
    """The number of files that are the same in both folders."""
    return sum((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def below(pid: int) -> Iterator[int]:
    """The processes that ``pid`` started, and theirs."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from below(int(child))


def measure_queue(trips: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Exchanges a second with one and four workers that do nothing, and what Ray itself takes."""
    found: dict[str, Any] = {"line_bytes": LINE_BYTES, "rates": []}
    with open_cluster("local") as cluster:
        ray = cluster.ray
        own = list(below(os.getpid()))
        facts = {"version": ray.__version__, "resident_mib": round(sum(map(resident, own)) / 2**20)}
        name, most, ends = "object_store_memory", 0.0, threading.Event()

        def watch() -> None:
            nonlocal most
            while not ends.wait(0.1):
                most = max(most, ray.cluster_resources()[name] - ray.available_resources().get(name, 0))

        watcher = threading.Thread(target=watch)
        watcher.start()
        queue = ray.remote(QueueActor).options(num_cpus=0, max_concurrency=1000).remote(["plan"])
        for workers in (1, 4):
            askers = [ray.remote(Asker).options(num_cpus=0).remote() for _ in range(workers)]
            ray.get([asker.__ray_ready__.remote() for asker in askers])
            for job in range(workers * trips):
                queue.post.remote("plan", job, f"{job} ".ljust(LINE_BYTES, "x"))
            spans = ray.get([asker.run.remote(queue, f"{workers}-{number}", trips) for number, asker in enumerate(askers)])
            found["rates"].append({"workers": workers, "jobs_a_second": round(workers * trips / max(spans))})
            ray.get(queue.news.remote(0.1))
        facts["actor_mib"] = round(sum(resident(pid) for pid in below(os.getpid()) if b"Asker" in _command(pid)) / 5 / 2**20)
        ends.set()
        watcher.join()
        facts["object_store_peak_bytes"] = int(most)
    return found, facts


def measure_scheduler(jobs: int, folder: Path) -> dict[str, Any]:
    """What one job costs the scheduler: submission, and the median of 50 claims, ends and counts of jobs by state."""
    took: dict[str, list[float]] = {"claim": [], "finish": [], "counts": []}
    with Queue(folder / "queue.sqlite") as queue:
        began = time.perf_counter()
        queue.add((JobSpec(f"/in/{number}.mp4", f"/out/{number}.mp4"), None) for number in range(jobs))
        submit = time.perf_counter() - began
        for _ in range(50):
            times = [time.perf_counter()]
            job = queue.claim("plan", Owner.current())
            times.append(time.perf_counter())
            assert job is not None
            queue.finish(job.id, {"text": "x" * LINE_BYTES}, None)
            times.append(time.perf_counter())
            queue.counts()
            times.append(time.perf_counter())
            for name, first, second in zip(took, times, times[1:], strict=False):
                took[name].append(second - first)
    medians = {f"{name}_ms": round(1000 * statistics.median(values), 2) for name, values in took.items()}
    return {"jobs": jobs, "submit_ms_each": round(1000 * submit / jobs, 4)} | medians


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--size", default="1280:720")
    parser.add_argument("--options", default="--preset veryfast")
    parser.add_argument("--trips", type=int, default=500)
    parser.add_argument("--jobs", default="10000,100000", help="sizes of queues")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    options = [*shlex.split(given.options), "--no-cache", "--quiet", "--threads", str(len(os.sched_getaffinity(0)))]
    queue, facts = measure_queue(given.trips)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = folder / "clips"
        clips.mkdir()
        for number in range(given.clips):
            ffmpeg(
                "-ss", str(number / 4), "-i", given.source, "-t", str(given.seconds), "-vf", f"scale={given.size}", "-an",
                "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", clips / f"{number:03d}.mp4",
            )  # fmt: skip
        scheduler = []
        for jobs in map(int, given.jobs.split(",")):
            (folder / str(jobs)).mkdir()
            scheduler.append(measure_scheduler(jobs, folder / str(jobs)))
        work = measure_work(clips / "000.mp4", folder, given.seconds, options)
        runs = [run_batch(engine, workers, clips, folder, options) for engine, workers in RUNS]
        names = [path.name for path in sorted(clips.iterdir())]
        same = {
            f"{engine}{workers}": same_files(folder / "local1", folder / f"{engine}{workers}", names) for engine, workers in RUNS
        }
    table = Table("engine", "encode workers", "wall", "span", "processor", "same files")
    for run in runs:
        row = (run["wall"], run["span"], run["cpu"], same[f"{run['engine']}{run['workers']}"])
        table.add_row(run["engine"], str(run["workers"]), *map(str, row))
    Console().print(table, work, queue, scheduler, facts)
    if given.json is not None:
        settings = {
            "clips": given.clips,
            "seconds": given.seconds,
            "size": given.size,
            "options": given.options,
            "source": given.source.name,
        }
        record = about_run() | {
            "settings": settings,
            "work": work,
            "runs": runs,
            "scheduler": scheduler,
            "same_files": same,
            "queue": queue,
            "ray": facts,
        }
        given.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
