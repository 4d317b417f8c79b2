"""Runs several encodes at once: threads that each run external programs, and one thread that waits for them."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from gpu_saliency.process import children

T = TypeVar("T")
OnFrame = Callable[[int], None]
"""Called with the number of frames done so far."""
_GRACE_SECONDS = 0.5
"""Time from SIGTERM to SIGKILL for programs whose output is discarded; a slow encoder takes longer to flush its frames."""
_POLL_SECONDS = 0.1


class Processes:
    """The external programs that run now, which another thread can end."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[Any]] = set()
        self._is_ended = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def holding(self, process: subprocess.Popen[Any]) -> Iterator[None]:
        """Let `end` end ``process`` during the block; ends it at once if `end` was called before."""
        with self._lock:
            self._running.add(process)
            if self._is_ended:
                children.terminate(process)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)

    def end(self) -> None:
        """End the programs that run now, and all that start later."""
        with self._lock:
            self._is_ended = True
            for process in self._running:
                children.terminate(process)

    def kill(self) -> None:
        """End the programs that run now even if they ignore SIGTERM."""
        with self._lock:
            for process in self._running:
                children.kill(process)


class Task(Generic[T]):
    """One piece of work in a thread of its own."""

    frames = 0
    """Number of frames done so far."""
    future: Future[T]

    def advance(self, frames: int) -> None:
        self.frames = frames


class Workers:
    """A pool of threads. The end of the block waits for the work; an exception that leaves the block ends the programs first."""

    def __init__(self, threads: int) -> None:
        self._processes = Processes()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
        self._futures: list[Future[Any]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._processes.end()
            wait(self._futures, timeout=_GRACE_SECONDS)
            self._processes.kill()
        self._pool.shutdown(wait=True)

    def start(self, work: Callable[[OnFrame, Processes], T]) -> Task[T]:
        """Queue ``work``, which gets a function to report its frames to, and the `Processes` that must hold its programs."""
        task: Task[T] = Task()
        task.future = self._pool.submit(work, task.advance, self._processes)
        self._futures.append(task.future)
        return task

    def check(self, tasks: Sequence[Task[Any]]) -> None:
        """Raise the first exception of those ``tasks`` that have ended; waits for none."""
        for task in tasks:
            if task.future.done():
                task.future.result()

    def wait(self, tasks: Sequence[Task[T]], on_frame: OnFrame | None = None, until: Callable[[], bool] | None = None) -> None:
        """Wait until all ``tasks`` have ended, or ``until`` returns true. Raises the first exception of a task.

        Meanwhile ``on_frame`` is called in this thread with the sum of their frames; its exceptions are passed on.
        """
        while True:
            done, pending = wait([task.future for task in tasks], timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if on_frame is not None:
                on_frame(sum(task.frames for task in tasks))
            if not pending or (until is not None and until()):
                return

    def results(self, tasks: Sequence[Task[T]], on_frame: OnFrame | None = None) -> list[T]:
        """Wait for all ``tasks`` (see `wait`); returns their results."""
        self.wait(tasks, on_frame)
        return [task.future.result() for task in tasks]
