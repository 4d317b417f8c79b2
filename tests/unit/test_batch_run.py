"""The scheduler of a batch: what it makes of what an engine reports. The engine here answers by a script, without processes."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gpu_saliency.batch import outcome
from gpu_saliency.batch.engine import Advanced, Ended, Failed, Lost, Report
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.order import Order
from gpu_saliency.batch.outcome import FINAL, FULL, PASSING
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.batch.run import BatchRun, RunSettings
from gpu_saliency.errors import OutputError, UsageError

Answer = Callable[[Order], Report]


def _ended(order: Order) -> Report:
    if order.stage == "plan":
        Path(order.maps).write_text("maps")
        return Ended(order.job, order.stage, {"frames": 24})
    Path(order.spec.output).write_text("encoded")
    return Ended(order.job, order.stage, {"output": {"path": order.spec.output}})


def _failed(kind: str) -> Answer:
    error = {"kind": "encode", "message": "it failed", "cure": None, "exit_code": 74}
    return lambda order: Failed(order.job, order.stage, error, kind, ("last", "words"))


def _lost(order: Order) -> Report:
    return Lost(order.job, order.stage, "was killed", ("word",))


class ScriptedEngine:
    """Answers each order by the next answer for its output's name and stage, else with success; it has one place for each stage."""

    def __init__(self, **answers: Sequence[Answer]) -> None:
        """``answers`` by name and stage, such as ``a_plan``."""
        self._answers = {name: deque(given) for name, given in answers.items()}
        self._orders: list[Order] = []
        self.seen: list[tuple[str, str, bool]] = []
        self.at_once: list[int] = []
        self.on_start: Callable[[Order], None] = lambda _: None
        self.cancelled: list[int] = []

    def free(self, stage: str) -> int:
        return 1 - sum(order.stage == stage for order in self._orders)

    def start(self, order: Order) -> None:
        self._orders.append(order)
        self.seen.append((Path(order.spec.output).stem, order.stage, order.replaces))
        self.at_once.append(len(self._orders))
        self.on_start(order)

    def reports(self, seconds: float) -> list[Report]:  # noqa: ARG002 - it never waits
        orders, self._orders = self._orders, []
        found: list[Report] = [Advanced(order.job, order.stage, "working", 1, 24) for order in orders]
        for order in orders:
            if order.job in self.cancelled:
                found.append(Lost(order.job, order.stage, "cancelled", by_user=True))
                continue
            answers = self._answers.get(f"{Path(order.spec.output).stem}_{order.stage}")
            found.append((answers.popleft() if answers else _ended)(order))
        return found

    def cancel(self, job: int) -> None:
        self.cancelled.append(job)

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


class NoView:
    """Keeps the jobs that ended, and the reasons of those that wait again."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []
        self.waits: list[str] = []

    def started(self, job: Job, stage: str) -> None:
        pass

    def advanced(self, report: Advanced) -> None:
        pass

    def ended(self, job: Job) -> None:
        self.ends.append((Path(job.spec.output).stem, job.state))

    def put_back(self, job: Job, reason: str, wait: float) -> None:
        self.waits.append(f"{job.id} {reason} {wait:.0f}")

    def tick(self, counts: dict[str, int]) -> None:
        pass

    def say(self, line: str) -> None:
        pass


class Bench:
    """A queue with jobs ``a``, ``b`` and ``c`` in a folder, and a run over it by an engine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.view = folder, NoView()
        self.queue = Queue(folder / "queue.sqlite")
        (folder / "maps").mkdir()
        self.queue.add([(JobSpec("/in/x.mp4", str(folder / f"{name}.mp4")), None) for name in "abc"])

    def run(self, engine: ScriptedEngine) -> BatchRun:
        return BatchRun(self.queue, engine, RunSettings(self.folder / "maps", tries=3), self.view)

    @property
    def states(self) -> list[str]:
        return [job.state for job in self.queue.jobs()]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(outcome, "FIRST_WAIT", 0.0)
    return Bench(tmp_path)


def test_stages_overlap_and_every_job_is_done_once(bench: Bench) -> None:
    engine = ScriptedEngine()
    bench.run(engine).run()
    assert bench.states == ["done"] * 3
    assert sorted(engine.seen) == [(name, stage, False) for name in "abc" for stage in ("encode", "plan")]
    assert max(engine.at_once) == 2
    assert list((bench.folder / "maps").iterdir()) == []
    assert bench.view.ends == [("a", "done"), ("b", "done"), ("c", "done")]
    job = bench.queue.jobs()[0]
    assert (job.frames, job.result) == (24, {"output": {"path": job.spec.output}})


def test_failures(bench: Bench) -> None:
    """One job fails for good in its plan, one passes at its third try, one never does."""
    engine = ScriptedEngine(a_plan=[_failed(FINAL)], b_encode=[_failed(PASSING), _lost], c_encode=[_lost, _failed(PASSING), _lost])
    bench.run(engine).run()
    assert bench.states == ["failed", "done", "quarantined"]
    assert engine.seen.count(("a", "plan", False)) == 1
    # After a lost encode the next one may replace its files, and the plan is not made again.
    assert [one for one in engine.seen if one[:2] == ("b", "encode")] == [
        ("b", "encode", False),
        ("b", "encode", False),
        ("b", "encode", True),
    ]
    assert engine.seen.count(("b", "plan", False)) == 1
    failed, _, poison = bench.queue.jobs()
    assert (failed.tries, failed.error, failed.last_words) == (
        1,
        {"kind": "encode", "message": "it failed", "cure": None, "exit_code": 74},
        ("last", "words"),
    )
    assert poison.error is not None
    assert (poison.tries, poison.error["message"], poison.last_words) == (3, "was killed", ("word",))
    assert list((bench.folder / "maps").iterdir()) == []


def test_a_full_disk_ends_the_run_and_costs_no_try(bench: Bench) -> None:
    with pytest.raises(OutputError, match="it failed"):
        bench.run(ScriptedEngine(a_encode=[_failed(FULL)])).run()
    # What ran beside it was finished first.
    assert bench.states[0] == "queued"
    assert bench.queue.jobs()[0].tries == 0
    bench.run(ScriptedEngine()).run()
    assert bench.states == ["done"] * 3


def test_a_drained_run_finishes_what_runs(bench: Bench) -> None:
    engine = ScriptedEngine()
    run = bench.run(engine)
    engine.on_start = lambda order: run.drain() if order.stage == "encode" else None
    run.run()
    counts = bench.queue.counts()
    assert counts["done"] == 1
    assert "running" not in counts
    assert counts["queued"] == 2


def test_cancelled_jobs(bench: Bench) -> None:
    """One waits, one runs; a job that is cancelled while its plan runs is so at the latest in its encode."""
    bench.queue.cancel([3])
    engine = ScriptedEngine()
    with Queue(bench.queue.path) as other:

        def cancel(order: Order) -> None:
            if order.job == 1:
                other.cancel([1])

        engine.on_start = cancel
        bench.run(engine).run()
    assert bench.states == ["cancelled", "done", "cancelled"]
    assert ("a", "cancelled") in bench.view.ends


def test_jobs_of_a_dead_run_are_taken_back(bench: Bench) -> None:
    """One was being planned, one encoded; the third one's process is alive."""
    own = Owner.current()
    dead = Owner(own.boot, own.pid, own.started + 1)
    for stage, number in (("plan", 1), ("plan", 2)):
        job = bench.queue.claim(stage, dead)
        assert job is not None
        assert job.id == number
    bench.queue.advance(2, "encode", 5)
    assert bench.queue.claim("encode", dead) is not None
    engine = ScriptedEngine()
    run = bench.run(engine)
    assert run.take_back() == 2
    jobs = bench.queue.jobs()
    # Its maps are gone with the run, so that the job begins with its plan; its files may be there.
    assert [(job.state, job.stage, job.is_lost) for job in jobs[:2]] == [("queued", "plan", False), ("queued", "plan", True)]
    run.run()
    assert bench.states == ["done"] * 3
    assert ("b", "encode", True) in engine.seen

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        started = int(Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[19])
        bench.queue.add([(JobSpec("/in/x.mp4", str(bench.folder / "d.mp4")), None)])
        assert bench.queue.claim("plan", Owner(own.boot, other.pid, started)) is not None
        with pytest.raises(UsageError, match=f"process {other.pid} works on it"):
            run.take_back()
        other.kill()
