"""`Scheduler`: the thread that runs the queue. After a full disk or a queue that cannot be written it goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from gpu_saliency.batch.engine import Engine
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.run import BatchRun, RunSettings
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.progress import Reporter
from gpu_saliency.serve.progress import Progress

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0
"""Seconds before it goes on; each wait is twice the one before."""


class Scheduler(threading.Thread):
    """Runs jobs until `drain`, and ends when those that run have ended."""

    def __init__(
        self, path: Path, settings: RunSettings, make_engine: Callable[[], Engine], progress: Progress, reporter: Reporter
    ) -> None:
        super().__init__(name="scheduler", daemon=True)
        self._path, self._settings, self._make_engine = path, settings, make_engine
        self._progress, self._reporter = progress, reporter
        self._ending = threading.Event()
        self._run: BatchRun | None = None
        self._engine: Engine | None = None
        self.trouble: str | None = None
        """Why no job runs; ``None`` while all is well."""

    def run(self) -> None:
        wait = _FIRST_WAIT
        while not self._ending.is_set():
            try:
                self._work()
            except Exception as error:  # a service goes on; the queue has what was done
                self.trouble = error.line(self._reporter.spell) if isinstance(error, GpuSaliencyError) else repr(error)
                self._reporter.error(f"no job runs: {self.trouble}; it goes on in {wait:.0f} s")
                self._ending.wait(wait)
                wait = min(_LONGEST_WAIT, 2 * wait)
            else:
                wait = _FIRST_WAIT

    def _work(self) -> None:
        engine = self._engine = self._make_engine()
        try:
            with Queue(self._path) as queue:
                run = self._run = BatchRun(queue, engine, self._settings, self._progress)
                if taken := run.take_back():
                    self._reporter.say(f"{taken} jobs that were running are taken back")
                self.trouble = None
                if self._ending.is_set():
                    return
                run.run()
        finally:
            self._run = self._engine = None
            engine.close()
            self._progress.forget()

    def drain(self) -> None:
        """Start no further job; may be called in a signal handler."""
        self._ending.set()
        if self._run is not None:
            self._run.drain()

    def wake(self) -> None:
        """There are new jobs, or jobs to cancel."""
        engine = self._engine
        if engine is not None:
            engine.wake()

    @property
    def is_working(self) -> bool:
        """Whether jobs are started and cared for."""
        return self.is_alive() and self.trouble is None and self._progress.is_alive and not self._ending.is_set()
