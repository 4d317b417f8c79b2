"""Runs checks as processes with time limits, several at once; a limit kills all processes of the check."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpu_check.checks import Check
from gpu_check.outcomes import FAILED, NOT_STARTED, PASSED, RUNNING, SKIPPED, Outcome, Outcomes, file_name

_RESERVE = 3.0
"""Seconds kept for the table and the archive."""


class Runner:
    """Runs checks until a deadline, and collects their outcomes."""

    def __init__(self, logs: Path, outcomes: Outcomes, environment: Mapping[str, str], deadline: float) -> None:
        """``deadline`` is a value of `time.monotonic`."""
        self._logs, self._outcomes, self._deadline = logs, outcomes, deadline
        self.environment = dict(environment)
        self._running: set[int] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, checks: Iterable[Check], missing: Mapping[str, str], at_once: int) -> None:
        """Run ``checks`` in order, ``at_once`` at a time; timings alone. ``missing`` has a reason for each part that is missing."""
        checks = list(checks)
        for check in checks:
            self._outcomes.set(Outcome(check.name, NOT_STARTED, 0, "the run ended before it"))
        together = [check for check in checks if not check.is_timing]
        alone = [check for check in checks if check.is_timing]
        try:
            for number, group in ((max(1, at_once), together), (1, alone)):
                with ThreadPoolExecutor(number) as pool:
                    for _ in pool.map(lambda check: self._outcomes.set(self._outcome(check, missing)), group):
                        pass
        except BaseException:
            self.stop()
            raise

    def _outcome(self, check: Check, missing: Mapping[str, str]) -> Outcome:
        reason = next((missing[part] for part in check.needs if part in missing), None)
        if reason is not None:
            outcome = Outcome(check.name, SKIPPED, 0, reason)
        elif self._stopped or (limit := min(check.seconds, self._deadline - _RESERVE - time.monotonic())) <= 0:
            outcome = Outcome(check.name, NOT_STARTED, 0, "the time limit of the run was reached")
        else:
            self._outcomes.set(Outcome(check.name, RUNNING, 0, "the run ended during it"))
            outcome = self.execute(check, limit)
        seconds = f", {outcome.seconds:.0f} s" if outcome.seconds else ""
        print(f"{outcome.name}: {outcome.state}{seconds}: {outcome.line[:160]}", file=sys.stderr, flush=True)
        return outcome

    def execute(self, check: Check, limit: float) -> Outcome:
        """Run ``check`` for at most ``limit`` seconds; its output goes to a log."""
        started = time.monotonic()
        log = self._logs / f"{file_name(check.name)}.log"
        with log.open("w") as file:
            print("$", *check.command, file=file, flush=True)
            try:
                code = self._wait(check, file.fileno(), limit)
                ending = f"signal {-code}" if code < 0 else f"exit status {code}"
            except (OSError, subprocess.TimeoutExpired) as error:
                code = 1
                ending = f"ended after its limit of {limit:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        last = f"{lines[-1]} ({ending})" if len(lines) > 1 else ending
        if code == 0 and len(lines) > 1:
            last = lines[-1]
        return Outcome(check.name, FAILED if code else PASSED, time.monotonic() - started, last)

    def _wait(self, check: Check, log: int, limit: float) -> int:
        with self._lock:
            if self._stopped:
                raise OSError("the run was stopped")
            process = subprocess.Popen(
                check.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**self.environment, **check.environment},
                start_new_session=True,
            )
            self._running.add(process.pid)
        try:
            return process.wait(limit)
        finally:
            # Also after a normal end: a child that is left behind would keep the GPU busy.
            _kill(process.pid)
            process.wait()
            with self._lock:
                self._running.discard(process.pid)

    def stop(self) -> None:
        """Kill all running checks and start no more."""
        with self._lock:
            self._stopped = True
            for group in self._running:
                _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
