"""`QueueActor`: hands orders to the workers that ask for one, and their reports to the scheduler. It runs on the scheduler's node.

It keeps nothing on a disk: the database is the scheduler's, which gives it a few orders ahead of the workers. All it gets and gives
are lines of plain text of a few kB. This class does not import Ray; as a Ray actor its methods run in one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from gpu_saliency.batch.engine import Advanced, Lost
from gpu_saliency.batch.local.wire import read_report, report_line

CANCEL, LEAVE = "cancel", "leave"
"""Answers to a worker: end the job; end the worker."""
_PULL_SECONDS = 20.0
"""Longest time that a worker waits for an order before it asks again."""


class QueueActor:
    """The orders that wait, and which worker has which job."""

    def __init__(self, stages: list[str]) -> None:
        self._orders: dict[str, asyncio.Queue[tuple[int, str] | None]] = {stage: asyncio.Queue() for stage in stages}
        self._workers: dict[str, str] = {}
        self._held: dict[str, tuple[int, str]] = {}
        self._gone: set[str] = set()
        self._cancelled: set[int] = set()
        self._events: list[tuple[str, str]] = []
        self._has_news = asyncio.Event()
        self._is_closing = False

    # Called by workers.

    async def pull(self, worker: str, stage: str) -> str | None:
        """The next order of ``stage`` for ``worker``; empty where there is none yet, ``None`` where the worker is to end."""
        if worker not in self._workers and worker not in self._gone:
            self._workers[worker] = stage
            self._has_news.set()
        while not self._is_closing and worker not in self._gone:
            try:
                entry = await asyncio.wait_for(self._orders[stage].get(), _PULL_SECONDS)
            except TimeoutError:
                return ""
            if entry is None:
                continue
            job, line = entry
            if worker in self._gone:
                self._orders[stage].put_nowait(entry)
            elif job in self._cancelled:
                self._end(worker, job, report_line(Lost(job, stage, "cancelled", by_user=True)))
            else:
                self._held[worker] = job, stage
                return line
        return None

    async def tell(self, worker: str, lines: list[str]) -> str:
        """Take the reports of ``worker`` on its job; returns `CANCEL`, `LEAVE` or nothing."""
        if worker in self._gone:
            return LEAVE  # its job was given to another one
        for line in lines:
            report = read_report(line)
            if isinstance(report, Advanced):
                self._events.append((worker, line))
            else:
                self._end(worker, report.job, line)
        if lines:
            self._has_news.set()
        if self._is_closing:
            return LEAVE
        held = self._held.get(worker)
        return CANCEL if held is not None and held[0] in self._cancelled else ""

    # Called by the scheduler.

    async def post(self, stage: str, job: int, line: str) -> None:
        """Add an order."""
        self._orders[stage].put_nowait((job, line))

    async def cancel(self, job: int) -> None:
        """End the work on ``job``, or its order if no worker has it."""
        self._cancelled.add(job)
        for stage, orders in self._orders.items():
            kept = []
            while not orders.empty():
                entry = orders.get_nowait()
                if entry is not None and entry[0] == job:
                    self._end("", job, report_line(Lost(job, stage, "cancelled", by_user=True)))
                else:
                    kept.append(entry)
            for entry in kept:
                orders.put_nowait(entry)

    async def news(self, seconds: float) -> tuple[list[tuple[str, str]], dict[str, int]]:
        """The reports since the last call, each with its worker, and the number of workers by stage; waits ``seconds`` at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._has_news.wait(), seconds)
        self._has_news.clear()
        events, self._events = self._events, []
        return events, dict(Counter(self._workers.values()))

    async def bury(self, worker: str) -> tuple[int, str] | None:
        """Forget ``worker``, which is dead; returns the job that it had, with its stage."""
        self._gone.add(worker)
        self._workers.pop(worker, None)
        self._has_news.set()
        held = self._held.pop(worker, None)
        if held is not None:
            self._cancelled.discard(held[0])
        return held

    async def close(self) -> None:
        """Let all workers end, also those with a job."""
        self._is_closing = True
        for orders in self._orders.values():
            for _ in self._workers:
                orders.put_nowait(None)

    def _end(self, worker: str, job: int, line: str) -> None:
        self._held.pop(worker, None)
        self._cancelled.discard(job)
        self._events.append((worker, line))
        self._has_news.set()
