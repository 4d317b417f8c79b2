"""`Gate`: an engine in front of another one. It checks each job again when it starts, holds jobs back, and measures stages."""

from __future__ import annotations

import time
from collections.abc import Callable

from gpu_saliency.batch.engine import Ended, Engine, Failed, Lost, Report
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.order import Order
from gpu_saliency.batch.outcome import FINAL
from gpu_saliency.errors import GpuSaliencyError, Spelling

Measure = Callable[[Report, float], None]
"""Gets the last report of a stage, and the seconds that it took."""


class Gate:
    """An `Engine`."""

    def __init__(
        self,
        engine: Engine,
        check: Callable[[JobSpec], None],
        admits: Callable[[], bool],
        measure: Measure,
        spell: Spelling,
    ) -> None:
        """``check`` raises the error of a job that must not run; nothing starts while ``admits`` is false."""
        self._engine, self._check, self._admits, self._measure, self._spell = engine, check, admits, measure, spell
        self._refused: list[Report] = []
        self._since: dict[int, float] = {}

    def free(self, stage: str) -> int:
        free = self._engine.free(stage)
        return free if free > 0 and self._admits() else 0

    def start(self, order: Order) -> None:
        self._since[order.job] = time.monotonic()
        try:
            self._check(order.spec)
        except GpuSaliencyError as error:
            self._refused.append(Failed(order.job, order.stage, error.to_json(self._spell), FINAL))
            return
        self._engine.start(order)

    def reports(self, seconds: float) -> list[Report]:
        found, self._refused = self._refused, []
        found += self._engine.reports(0.0 if found else seconds)
        for report in found:
            if isinstance(report, (Ended, Failed, Lost)):
                self._measure(report, time.monotonic() - self._since.pop(report.job, time.monotonic()))
        return found

    def cancel(self, job: int) -> None:
        self._engine.cancel(job)

    def wake(self) -> None:
        self._engine.wake()

    def close(self) -> None:
        self._engine.close()
