"""`Progress`: what runs now and how fast, as the scheduler reports it; shown by the service and its metrics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

from gpu_saliency.batch.engine import Advanced, Ended, Failed, Report
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.progress import Reporter
from gpu_saliency.serve.hub import Hub
from gpu_saliency.serve.shapes import Running

_WINDOW = 15.0
"""Seconds over which the frames per second are measured."""
_ALIVE_SECONDS = 60.0
BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""Upper ends in seconds of the histogram of stage times."""


class Progress:
    """A `gpu_saliency.batch.run.View`; its methods are called in the scheduler's thread, what it knows is read in others."""

    def __init__(self, hub: Hub, reporter: Reporter) -> None:
        self._hub, self._reporter = hub, reporter
        self._lock = threading.Lock()
        self._running: dict[int, Running] = {}
        self._frames: deque[tuple[float, int]] = deque()
        self._beat = float("-inf")
        self.counts: dict[str, int] = {}
        self.ended_jobs: Counter[str] = Counter()
        """Jobs that ended, by state, since the start."""
        self.stage_seconds: dict[tuple[str, str], list[float]] = {}
        """By stage and outcome: number of stage times up to each of `BUCKETS`, of all, and their sum."""
        self.frames_total = 0

    def started(self, job: Job, stage: str) -> None:
        """A stage of a job was started."""
        with self._lock:
            self._running[job.id] = Running(job.id, stage, "starting", 0, job.frames)
        self._hub.publish("job", id=job.id, state="running", stage=stage)

    def advanced(self, report: Advanced) -> None:
        """A running stage has made progress."""
        with self._lock:
            before = self._running.get(report.job)
            if before is None:
                return
            if before.step == report.step and report.stage == "encode" and report.done > before.done:
                self._frames.append((time.monotonic(), report.done - before.done))
            self._running[report.job] = Running(report.job, report.stage, report.step, report.done, report.total)
        self._hub.publish("progress", id=report.job, stage=report.stage, step=report.step, done=report.done, total=report.total)

    def measured(self, report: Report, seconds: float) -> None:
        """A stage has ended."""
        outcome = "done" if isinstance(report, Ended) else "failed" if isinstance(report, Failed) else "lost"
        with self._lock:
            self._running.pop(report.job, None)
            counts = self.stage_seconds.setdefault((report.stage, outcome), [0.0] * (len(BUCKETS) + 2))
            for number, end in enumerate(BUCKETS):
                counts[number] += seconds <= end
            counts[-2] += 1
            counts[-1] += seconds
        if isinstance(report, Ended) and report.stage == "plan":
            self._hub.publish("job", id=report.job, state="queued", stage="encode")

    def ended(self, job: Job) -> None:
        """The job is done, has failed, is quarantined or cancelled."""
        with self._lock:
            self._running.pop(job.id, None)
            self.ended_jobs[job.state] += 1
            self.frames_total += (job.frames or 0) * len(job.spec.outputs) if job.state == "done" else 0
        self._hub.publish("job", id=job.id, state=job.state, stage=job.stage)
        line = f"job {job.id}: {job.state}: {', '.join(job.spec.outputs) if job.state == 'done' else job.spec.source}"
        if job.state in ("failed", "quarantined"):
            message = str((job.error or {}).get("message"))
            self._reporter.warn(f"{line}: {message.removeprefix(f'{job.spec.source}: ')}")
        else:
            self._reporter.say(line)

    def put_back(self, job: Job, reason: str, wait: float) -> None:
        """The job waits to be run again."""
        with self._lock:
            self._running.pop(job.id, None)
        self._hub.publish("job", id=job.id, state="queued", stage=job.stage)
        self._reporter.warn(f"job {job.id}: try {job.tries} failed, again in {wait:.0f} s: {reason}")

    def tick(self, counts: dict[str, int]) -> None:
        """The scheduler works."""
        self._beat = time.monotonic()
        if counts != self.counts:
            self.counts = dict(counts)
            self._hub.publish("counts", **self.counts)

    def say(self, line: str) -> None:
        """Show a line of text."""
        self._reporter.say(line)

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler has worked lately."""
        return time.monotonic() - self._beat < _ALIVE_SECONDS

    def running(self) -> list[Running]:
        """The stages that run."""
        with self._lock:
            return list(self._running.values())

    def frames_per_second(self) -> float:
        """Frames that all encoders took each second lately; those of a second pass count again."""
        since = time.monotonic() - _WINDOW
        with self._lock:
            while self._frames and self._frames[0][0] < since:
                self._frames.popleft()
            return sum(frames for _, frames in self._frames) / _WINDOW

    def forget(self) -> None:
        """Nothing runs any more: the workers have been ended."""
        with self._lock:
            self._running.clear()
