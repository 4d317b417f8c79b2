"""Keeps several workers busy with cases, until a number of cases or a time is reached."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fuzzing.case import FAILED, Name, Verdict
from fuzzing.nursery import CONTAINERS, Nursery, make_nursery

_HELPERS = Path(__file__).resolve().parents[1]
_ROOT = _HELPERS.parents[1]


@dataclass(frozen=True, slots=True)
class Bench:
    """The intact inputs, and the speed of this machine."""

    nursery: Nursery
    place: Path
    """Folder for the cases at work."""
    usual: float
    """Seconds of an undisturbed run on the longer clip, in a new interpreter: the median of three."""

    @property
    def limit(self) -> float:
        """Seconds after which a run hangs: inputs of some kB take 40 times the usual time on no machine.

        The program itself gives an unknown model 60 s of processor time, and 180 s where other work takes the processors.
        """
        return max(240.0, 40 * self.usual)


@contextmanager
def prepared(folder: Path | None = None) -> Iterator[Bench]:
    """Make the intact inputs and measure the machine; everything is removed at the end of the block."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=folder))
    try:
        (place / "nursery").mkdir()
        (place / "cases").mkdir()
        nursery = make_nursery(place / "nursery")
        mkv = nursery.clip(next(one for one in CONTAINERS if one.name == "mkv"))
        _program("plan", "--src", str(mkv), "--sidecar", str(nursery.sidecar))
        seconds = []
        for number in range(3):
            started = time.monotonic()
            _program("encode", "--src", str(nursery.longer), "--output", str(place / f"speed{number}.mkv"))
            seconds.append(time.monotonic() - started)
        yield Bench(nursery, place / "cases", statistics.median(seconds))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _program(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "gpu_saliency", *arguments], check=True, capture_output=True, env=_environment())


def _environment() -> dict[str, str]:
    paths = [str(_ROOT), str(_HELPERS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(paths)}


class Worker:
    """One worker process; a new one is started if it dies."""

    def __init__(self, bench: Bench, keep: Path | None) -> None:
        self._arguments = [str(bench.nursery.folder), str(bench.place), str(keep or ""), str(bench.usual), str(bench.limit)]
        self._process: subprocess.Popen[str] | None = None

    def do(self, name: Name) -> Verdict:
        """Let the worker judge the case ``name``."""
        if self._process is None:
            command = [sys.executable, str(_HELPERS / "fuzzing" / "worker.py"), *self._arguments]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(), start_new_session=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{name}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return Verdict(**json.loads(line))
        self.close()
        return Verdict(str(name), "", FAILED, "harness", "the worker of the harness died")

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


def run_campaign(
    bench: Bench,
    names: Iterable[Name],
    *,
    jobs: int,
    keep: Path | None = None,
    until: float | None = None,
    on_verdict: Callable[[Verdict], None] = lambda _: None,
) -> list[Verdict]:
    """Judge ``names`` with ``jobs`` workers; after ``until`` (`time.monotonic`) no further case begins."""
    waiting, lock = iter(names), threading.Lock()
    found: list[Verdict] = []

    def work() -> None:
        worker = Worker(bench, keep)
        try:
            while until is None or time.monotonic() < until:
                with lock:
                    name = next(waiting, None)
                if name is None:
                    return
                verdict = worker.do(name)
                with lock:
                    found.append(verdict)
                    on_verdict(verdict)
        finally:
            worker.close()

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
