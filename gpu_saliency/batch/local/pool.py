"""`LocalPool`: the engine that runs stages in worker processes of this machine.

A worker is a process of this program with one job at a time: a crash, a kill or a limit of one job reaches no other. It serves many
jobs, so that its imports, the model and what is known of ffmpeg stay, and is replaced after a number of jobs or when it has grown.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import time
from dataclasses import dataclass

from gpu_saliency.batch.engine import Advanced, Failed, Lost, Report
from gpu_saliency.batch.local.machine import memory_of, resident, visible_gpus
from gpu_saliency.batch.local.worker import Worker
from gpu_saliency.batch.order import Order
from gpu_saliency.batch.outcome import FINAL
from gpu_saliency.process import children

MOST_JOBS = 200
MOST_RESIDENT = 3 << 29
"""Jobs and resident bytes after which a worker is replaced."""
_CHECK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one stage of a job; ``None``: no limit."""

    seconds: float | None = None
    memory: int | None = None
    """Resident bytes of the worker and its encoder."""


class LocalPool:
    """Workers for each stage; an `Engine`."""

    def __init__(
        self, module: str, arguments: list[str], sizes: dict[str, int], limits: Limits, *, spreads_gpus: bool = True
    ) -> None:
        """``module`` is the program of a worker, ``sizes`` the most workers of each stage.

        ``spreads_gpus`` gives each plan worker one of several GPUs for itself; without it the jobs choose.
        """
        self._module, self._arguments, self._sizes, self._limits = module, arguments, sizes, limits
        self._workers: list[Worker] = []
        self._events: queue.SimpleQueue[tuple[Worker, Report | None] | None] = queue.SimpleQueue()
        self._checked = 0.0
        self._gpus = visible_gpus() if spreads_gpus else ()

    def free(self, stage: str) -> int:
        return self._sizes[stage] - sum(1 for one in self._workers if one.stage == stage and one.order is not None)

    def start(self, order: Order) -> None:
        """Start ``order`` in an idle worker, or a new one. Raises `OSError` if no process can be started."""
        idle = (
            one for one in self._workers if one.stage == order.stage and one.order is None and not one.is_leaving and not one.reason
        )
        worker = next(idle, None)
        if worker is None:
            slots = {one.slot for one in self._workers if one.stage == order.stage}
            slot = next(number for number in range(len(slots) + 1) if number not in slots)
            worker = Worker(order.stage, slot, self._events.put, self._module, self._arguments, self._variables(order.stage, slot))
            self._workers.append(worker)
        worker.give(order)

    def _variables(self, stage: str, slot: int) -> dict[str, str]:
        """The variables of a worker: which GPU a plan worker has, where there are several."""
        if stage != "plan" or len(self._gpus) < 2 or self._sizes[stage] < 2:
            return {}
        return {"CUDA_VISIBLE_DEVICES": self._gpus[slot % len(self._gpus)]}

    def reports(self, seconds: float) -> list[Report]:
        found: list[Report] = []
        deadline = time.monotonic() + seconds
        while not found:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=max(0.0, min(_CHECK_SECONDS, deadline - time.monotonic())))
                while True:
                    if event is None:
                        deadline = 0.0
                    elif (report := self._read(*event)) is not None:
                        found.append(report)
                    event = self._events.get_nowait()
            self._enforce()
            if time.monotonic() >= deadline:
                break
        return found

    def cancel(self, job: int) -> None:
        for worker in self._workers:
            if worker.order is not None and worker.order.job == job:
                worker.end("cancelled", by_user=True)

    def wake(self) -> None:
        self._events.put(None)

    def close(self) -> None:
        for worker in self._workers:
            worker.leave()
            if worker.order is not None:
                worker.end("the batch ends")
        for worker in self._workers:
            worker.finish(children.PATIENCE)
        self._workers.clear()

    def _read(self, worker: Worker, report: Report | None) -> Report | None:
        if report is None:
            return self._gone(worker)
        if isinstance(report, Advanced):
            return report
        report = worker.answered(report)
        if isinstance(report, Failed) and report.kind != FINAL:
            worker.leave()  # what failed may be the process: a driver's error can hold for all that follows
        if worker.jobs >= MOST_JOBS or resident(worker.pid) > MOST_RESIDENT:
            worker.leave()
        return report

    def _gone(self, worker: Worker) -> Lost | None:
        code = worker.finish(children.PATIENCE)
        self._workers.remove(worker)
        if worker.order is None:
            return None
        number = -code if code < 0 else None
        how = f"was killed by {_signal_name(number)}" if number is not None else f"ended with exit status {code}"
        reason = worker.reason or f"the worker {how}"
        return Lost(worker.order.job, worker.order.stage, reason, worker.last_words(), worker.is_cancelled, number)

    def _enforce(self) -> None:
        """End the workers that exceed a limit of their job; kill those that do not end."""
        now = time.monotonic()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        for worker in self._workers:
            worker.insist()
            if worker.order is None or worker.reason:
                continue
            if self._limits.seconds is not None and now - worker.since > self._limits.seconds:
                worker.end(f"took longer than {self._limits.seconds:g} s")
            elif self._limits.memory is not None and (used := memory_of(worker.pid)) > self._limits.memory:
                worker.end(f"used {used >> 20:,} MiB of memory, {self._limits.memory >> 20:,} are allowed", at_once=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
