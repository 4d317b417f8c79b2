"""`Worker`: one process of the local pool, with the threads that read what it answers and what it prints."""

from __future__ import annotations

import collections
import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from gpu_saliency.batch.engine import Failed, Report
from gpu_saliency.batch.local.wire import order_line, read_report
from gpu_saliency.batch.order import Order
from gpu_saliency.process import children
from gpu_saliency.texts import hide_secrets, printable

_WORDS = 12
"""Lines of stderr that are kept."""
_LONGEST_WORD = 500


class Worker:
    """A worker process for one stage. Raises `OSError` if it cannot be started."""

    def __init__(
        self,
        stage: str,
        slot: int,
        put: Callable[[tuple[Worker, Report | None]], None],
        module: str,
        arguments: list[str],
        variables: dict[str, str],
    ) -> None:
        """``put`` gets each answer, and ``None`` at the end of the process, in another thread."""
        self.stage, self.slot = stage, slot
        self.order: Order | None = None
        self.jobs = 0
        self.since = 0.0
        self.reason = ""
        """Why the pool ends it."""
        self.is_cancelled = self.is_leaving = False
        self._kill_at: float | None = None
        self._words: collections.deque[str] = collections.deque(maxlen=_WORDS)
        pipe = subprocess.PIPE
        self._process = children.start_module(
            module, arguments, variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace"
        )
        self._put = put
        self._threads = [
            threading.Thread(target=target, name=f"worker-{self.pid}", daemon=True) for target in (self._hear, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, order: Order) -> None:
        """Send an order. A worker that has died meanwhile is reported by its end."""
        self.order, self.since = order, time.monotonic()
        self._words.clear()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(order_line(order))
            self._process.stdin.flush()

    def answered(self, report: Report) -> Report:
        """The order is done; returns the answer with the last lines of stderr where it is a failure."""
        self.order = None
        self.jobs += 1
        return replace(report, last_words=self.last_words()) if isinstance(report, Failed) else report

    def last_words(self) -> tuple[str, ...]:
        """The last lines that the process printed on stderr since it got the order."""
        return tuple(self._words)

    def end(self, reason: str, *, by_user: bool = False, at_once: bool = False) -> None:
        """Ask the process to end, and kill it if it does not soon."""
        if not self.reason:
            self.reason, self.is_cancelled = reason, by_user
            self._kill_at = time.monotonic() + (0 if at_once else 2 * children.PATIENCE)
            if at_once:
                children.kill(self._process)
            else:
                children.terminate(self._process)

    def insist(self) -> None:
        """Kill the process if it was asked to end some time ago."""
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            children.kill(self._process)

    def leave(self) -> None:
        """Let the process end after its order: it gets no further one."""
        self.is_leaving = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()

    def finish(self, patience: float) -> int:
        """Wait for the end of the process, which is killed after ``patience`` seconds; returns its exit status."""
        self.leave()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        children.end(self._process)
        for thread, pipe in zip(self._threads, (self._process.stdout, self._process.stderr), strict=True):
            thread.join(children.PATIENCE)
            if pipe is not None and not thread.is_alive():  # else a stray program still holds the other end
                pipe.close()
        return self._process.returncode

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                report = read_report(line)
            except (ValueError, KeyError, TypeError):  # cut off by a kill
                continue
            self._put((self, report))
        self._put((self, None))

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.strip():
                self._words.append(printable(hide_secrets(line.strip()))[:_LONGEST_WORD])
