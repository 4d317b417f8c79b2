"""Shows a batch: a dashboard on a terminal, and few lines elsewhere; results as one JSON object a line."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import BinaryIO

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gpu_saliency.batch.engine import Advanced
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.cli.reporter import CliReporter
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.process.streams import StdoutClosed
from gpu_saliency.texts import printable

_LINE_SECONDS = 30.0
_NAME_CHARS = 40


class BatchView:
    """Follows a run (`gpu_saliency.batch.run.View`); a context manager."""

    def __init__(self, reporter: CliReporter, *, json_lines: bool, results: BinaryIO | None) -> None:
        """Each finished job gets a line on stdout with ``json_lines``, and one in the file ``results``."""
        self._reporter = reporter
        self._json_lines, self._results = json_lines, results
        self._running: dict[int, tuple[Job, str, Advanced | None]] = {}
        self._began = self._shown = time.monotonic()
        self._ended = self._frames = self.bad = 0
        self._live: Live | None = None
        self._stack = ExitStack()

    def __enter__(self) -> BatchView:
        if self._reporter.console.is_terminal and not self._reporter.is_quiet:
            # Not redirected: the lines on stdout are results.
            live = Live(
                console=self._reporter.console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live = self._stack.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def started(self, job: Job, stage: str) -> None:
        """A stage of a job was started."""
        self._running[job.id] = job, stage, None

    def advanced(self, report: Advanced) -> None:
        """A running stage has made progress."""
        if report.job in self._running:
            job, stage, _ = self._running[report.job]
            self._running[report.job] = job, stage, report

    def put_back(self, job: Job, reason: str, wait: float) -> None:
        """A job waits for another try."""
        self._running.pop(job.id, None)
        again = f"again in {wait:.0f} s" if wait else "again by the next run"
        self.say(f"{job.spec.source}: try {job.tries} failed, {again}: {reason}")

    def ended(self, job: Job) -> None:
        """A job is done or given up."""
        self._running.pop(job.id, None)
        self._ended += 1
        self._write(json.dumps(job.to_json()))
        if job.state == "done":
            self._frames += (job.frames or 0) * len(job.spec.outputs)
        elif job.state != "cancelled":
            self.bad += 1
            error = job.error or {}
            cure = f" ({error['cure']})" if error.get("cure") else ""
            message = str(error.get("message")).removeprefix(f"{job.spec.source}: ")
            line = f"{job.spec.source}: {job.state}: {message}{cure}"
            if job.state == "quarantined" and job.last_words:
                line += f"; its last words: {job.last_words[-1]}"
            self._reporter.error(line)

    def refused(self, where: str, error: GpuSaliencyError) -> None:
        """A listed job is bad and was not added to the queue."""
        self.bad += 1
        self._write(json.dumps({"job": None, "state": "refused", "where": where, "error": error.to_json(self._reporter.spell)}))
        line = error.line(self._reporter.spell)
        self._reporter.error(line if where in line else f"{where}: {line}")

    def say(self, line: str) -> None:
        """Show a line of text."""
        self._reporter.say(line)

    def tick(self, counts: dict[str, int]) -> None:
        """Show how far the run is."""
        now = time.monotonic()
        if self._live is not None:
            self._live.update(Group(*self._dashboard(counts)), refresh=True)
        elif now - self._shown >= _LINE_SECONDS:
            self._shown = now
            self.say(self._summary(counts))

    def summary(self, counts: dict[str, int]) -> str:
        """The numbers of jobs in one line."""
        return self._summary(counts)

    def _summary(self, counts: dict[str, int]) -> str:
        passed = max(time.monotonic() - self._began, 1e-6)
        bad = counts.get("failed", 0) + counts.get("quarantined", 0)
        text = f"{counts.get('done', 0)} done, {bad} failed, {counts.get('queued', 0)} queued, {counts.get('running', 0)} running"
        if self._frames:
            text += f"; {self._frames / passed:.0f} fps"
        left = counts.get("queued", 0) + counts.get("running", 0)
        if self._ended and left:
            text += f", about {timedelta(seconds=round(left * passed / self._ended))} left"
        return text

    def _dashboard(self, counts: dict[str, int]) -> list[Table | Text]:
        table = Table(box=None, padding=(0, 1), show_header=False)
        for job, stage, report in list(self._running.values()):
            share = (
                f"{report.done} of {report.total}" if report is not None and report.total else str(report.done) if report else ""
            )
            name = printable(job.spec.source.rpartition("/")[2])[-_NAME_CHARS:]
            table.add_row(Text(name), stage, Text(report.step if report is not None else "starting"), share)
        # Failures stand above it, as lines that stay.
        return [Text(self._summary(counts), style="bold"), table]

    def _write(self, line: str) -> None:
        if self._results is not None:
            try:
                self._results.write(line.encode() + b"\n")
            except OSError as error:
                self._reporter.error(f"the file of results cannot be written: {error.strerror}; the queue has them")
                self._results = None
        if self._json_lines:
            try:
                print(line, flush=True)
            except StdoutClosed:
                self._json_lines = False
