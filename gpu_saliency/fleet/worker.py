"""`FleetWorker`: the actor that holds a worker's cores or GPUs, and runs one job at a time in a worker process below it.

The process is the one of the local engine, with its limits and its end: a crash of a job does not reach the actor, and the death of
the actor ends the process, because the guardian of the actor's process kills what it started.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from gpu_saliency.batch.engine import Advanced, Lost, Report
from gpu_saliency.batch.local.pool import Limits, LocalPool
from gpu_saliency.batch.local.wire import read_order, report_line
from gpu_saliency.batch.order import Order
from gpu_saliency.fleet.queue_actor import CANCEL, LEAVE

_TELL_SECONDS = 2.0
"""Seconds between two reports of progress; a cancelled job ends as late."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker runs: a module of this package with its arguments, within limits."""

    module: str
    arguments: list[str]
    limits: Limits


class FleetWorker:
    """One worker; ``queue`` is the handle of the `QueueActor`."""

    def __init__(self, queue: Any, name: str, stage: str, program: Program) -> None:
        self._queue, self._name, self._stage = queue, name, stage
        if stage != "plan" and os.environ.get("CUDA_VISIBLE_DEVICES") == "":
            # Ray hides the GPUs from actors that hold none. The encoder of a GPU is a unit of its own, which Ray does not count.
            del os.environ["CUDA_VISIBLE_DEVICES"]
        self._pool = LocalPool(program.module, program.arguments, {stage: 1}, program.limits, spreads_gpus=False)

    def serve(self) -> None:
        """Work until the queue actor lets this worker go."""
        try:
            while (line := self._call("pull", self._stage)) is not None:
                if line and not self._work(read_order(line)):
                    break
        finally:
            self._pool.close()

    def _call(self, method: str, *arguments: object) -> Any:
        import ray

        return ray.get(getattr(self._queue, method).remote(self._name, *arguments))

    def _work(self, order: Order) -> bool:
        """Run one order and tell of it; returns whether to go on."""
        try:
            self._pool.start(order)
        except OSError as error:
            lost = Lost(order.job, order.stage, f"no worker can be started: {error.strerror or error}")
            return bool(self._call("tell", [report_line(lost)]) != LEAVE)
        told, newest = time.monotonic(), list[Report]()
        while True:
            newest = self._pool.reports(_POLL_SECONDS)[-1:] or newest  # the end of the job comes last
            is_over = bool(newest) and not isinstance(newest[0], Advanced)
            if not is_over and time.monotonic() - told < _TELL_SECONDS:
                continue
            answer = self._call("tell", [report_line(report) for report in newest])
            if answer == LEAVE:
                return False
            if is_over:
                return True
            if answer == CANCEL:
                self._pool.cancel(order.job)
            told, newest = time.monotonic(), []
