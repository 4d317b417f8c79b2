"""`BatchRun`: the scheduler. It gives an engine the stages of queued jobs and writes into the queue what comes of them."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from gpu_saliency.batch.engine import Advanced, Ended, Engine, Failed, Lost, Report
from gpu_saliency.batch.job import file_states
from gpu_saliency.batch.journal import move_journal
from gpu_saliency.batch.order import Order
from gpu_saliency.batch.outcome import DEFAULT_TRIES, PASSING, judge, lost_error
from gpu_saliency.batch.outputs import finished_unnoticed, remove_stray_sidecars
from gpu_saliency.batch.place import maps_file
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.batch.stages import STAGES
from gpu_saliency.errors import GpuSaliencyError, OutputError, UsageError
from gpu_saliency.process import temporary

_POLL_SECONDS = 0.5
"""Seconds after which new jobs, retries and cancellations by other processes are noticed."""


class View(Protocol):
    """Shows the run to the user."""

    def started(self, job: Job, stage: str) -> None: ...

    def advanced(self, report: Advanced) -> None: ...

    def ended(self, job: Job) -> None:
        """The job is done, has failed, is quarantined or cancelled."""

    def put_back(self, job: Job, reason: str, wait: float) -> None:
        """The job waits to be run again."""

    def tick(self, counts: dict[str, int]) -> None:
        """Called about twice a second."""

    def say(self, line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run treats its jobs."""

    maps: Path
    """Folder for the maps between the stages."""
    tries: int = DEFAULT_TRIES
    ahead: int = 4
    """Most jobs with maps that wait for their encode: maps take disk space."""
    stays: bool = False
    """Whether the run waits for new jobs when none is queued, until a `BatchRun.drain`."""
    is_shared: bool = False
    """Whether other machines write the outputs. What a lost worker wrote there may not be on the disk: its job runs again."""


class BatchRun:
    """One run over a queue, which this process must own (`only_run`)."""

    def __init__(self, queue: Queue, engine: Engine, settings: RunSettings, view: View) -> None:
        self._queue, self._engine, self._settings, self._view = queue, engine, settings, view
        self._owner = Owner.current()
        self._running: dict[int, Job] = {}
        self._is_draining = self._is_announced = False
        self._full: GpuSaliencyError | None = None

    def drain(self) -> None:
        """Start no further job; may be called in a signal handler."""
        self._is_draining = True
        self._engine.wake()

    @property
    def is_draining(self) -> bool:
        """Whether no further job is started."""
        return self._is_draining

    def run(self) -> None:
        """Work until no job is queued, or until a `drain`. Raises `QueueError`, or `OutputError` when the disk is full."""
        counts = self._queue.counts()
        while True:
            if not self._is_draining:
                self._start_ready()
            elif not self._is_announced:
                self._is_announced = True
                self._view.say(f"stopping: {len(self._running)} jobs are finished first; a second signal ends at once")
            is_over = not self._settings.stays and not self._queue.counts().get("queued")
            if not self._running and (self._is_draining or is_over):
                break
            for report in self._engine.reports(_POLL_SECONDS):
                self._handle(report)
            for job in self._queue.cancelled():
                self._engine.cancel(job)
            counts = self._queue.counts()
            self._view.tick(counts)
        self._view.tick(counts)
        if self._full is not None:
            raise self._full

    def _start_ready(self) -> None:
        """Start what the engine has room for: encodes first, plans only as far ahead as `RunSettings.ahead`."""
        for stage in reversed(list(STAGES)):
            while self._engine.free(stage) > 0:
                if stage == "plan" and self._queue.counts().get("queued/encode", 0) >= self._settings.ahead:
                    break
                job = self._queue.claim(stage, self._owner)
                if job is None:
                    break
                if job.cancel:  # while its plan ran
                    self._failed(job, lost_error("cancelled"), PASSING, (), is_over=True)
                    continue
                if stage == "encode":
                    job = replace(job, before=file_states(job.spec.outputs))
                    self._queue.note_before(job.id, job.before)
                self._running[job.id] = job
                self._view.started(job, stage)
                try:
                    self._engine.start(Order(job.id, job.spec, stage, str(self._maps(job)), job.is_lost, job.made))
                except OSError as error:
                    self._handle(Lost(job.id, stage, f"no worker can be started: {error.strerror or error}"))

    def _maps(self, job: Job) -> Path:
        return maps_file(self._settings.maps, job.id)

    def _handle(self, report: Report) -> None:
        if isinstance(report, Advanced):
            self._view.advanced(report)
            return
        job = self._running.pop(report.job)
        if isinstance(report, Ended):
            self._ended(job, report.result)
        elif isinstance(report, Failed):
            self._failed(job, report.error, report.kind, report.last_words)
        elif isinstance(report, Lost):
            self._lost(job, report)

    def _ended(self, job: Job, result: dict[str, Any]) -> None:
        if job.stage == "plan":
            self._queue.advance(job.id, "encode", result["frames"])
            return
        self._finish(job, result)

    def _finish(self, job: Job, result: dict[str, Any]) -> None:
        job = move_journal(self._queue, job, self._settings.maps)
        self._queue.finish(job.id, result, file_states(job.spec.outputs))
        self._remove_maps(job)
        self._view.ended(replace(job, state="done", result=result, finished=time.time(), error=None, last_words=()))

    def _failed(
        self,
        job: Job,
        error: dict[str, Any],
        kind: str,
        last_words: tuple[str, ...],
        *,
        is_lost: bool = False,
        is_over: bool = False,
    ) -> None:
        """The stage has failed; ``is_lost``: without cleaning up; ``is_over``: the user has cancelled it."""
        verdict = judge(kind, job.tries, self._settings.tries)
        state = "cancelled" if is_over else verdict.state
        job = replace(job, tries=verdict.tries, error=error, last_words=last_words)
        if state == "queued":
            is_lost = is_lost or job.is_lost  # files of an earlier, lost try may still be there
            self._queue.put_back(
                job.id, tries=job.tries, not_before=time.time() + verdict.wait, is_lost=is_lost, error=error, stage=self._stage(job)
            )
            self._view.put_back(job, error["message"], verdict.wait)
            if verdict.stops and self._full is None:
                self._full = OutputError(error["message"], cure="free some space and run the same command again; no job is lost")
                self.drain()
            return
        job = move_journal(self._queue, job, self._settings.maps)
        self._queue.fail(job.id, state, error, last_words, job.tries)
        self._remove_maps(job)
        if is_lost or job.is_lost:
            remove_stray_sidecars(job)
        self._view.ended(replace(job, state=state, finished=time.time()))

    def _lost(self, job: Job, report: Lost) -> None:
        result = self._finished_unnoticed(replace(job, owner=self._owner))
        if result is not None:
            self._finish(job, result)
            return
        is_lost = job.stage == "encode"
        self._failed(job, lost_error(report.reason), PASSING, report.last_words, is_lost=is_lost, is_over=report.by_user)

    def _finished_unnoticed(self, job: Job) -> dict[str, Any] | None:
        return None if self._settings.is_shared else finished_unnoticed(job)

    def _stage(self, job: Job) -> str:
        """The stage at which a job goes on."""
        return "encode" if job.stage == "encode" and self._maps(job).exists() else "plan"

    def _remove_maps(self, job: Job) -> None:
        with contextlib.suppress(OSError):
            self._maps(job).unlink(missing_ok=True)

    def take_back(self) -> int:
        """Take the jobs of a run that is dead; those whose encode had ended are done. Returns their number.

        Raises `UsageError` if that run still lives, which the lock rules out on file systems that have locks.
        """
        jobs = self._queue.left_running()
        for job in jobs:
            if job.owner is not None and job.owner != self._owner and job.owner.is_alive:
                cure = "wait for it, or end it"
                raise UsageError(f"{self._queue.path}: process {job.owner.pid} works on it", cure=cure)
        for folder in {self._settings.maps, *(Path(output).parent for job in jobs for output in job.spec.outputs)}:
            with contextlib.suppress(OSError):
                temporary.sweep(folder)
        for job in jobs:
            result = self._finished_unnoticed(job)
            if result is not None:
                self._finish(job, result)
            elif job.cancel:
                self._failed(job, lost_error("cancelled"), PASSING, (), is_lost=job.stage == "encode", is_over=True)
            else:
                is_lost = job.is_lost or job.stage == "encode"
                self._queue.put_back(job.id, tries=job.tries, not_before=0, is_lost=is_lost, stage=self._stage(job))
        return len(jobs)
