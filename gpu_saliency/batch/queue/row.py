"""`Job`: one row of the queue."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.queue.owner import Owner

STATES = ("queued", "running", "done", "failed", "quarantined", "cancelled")
ENDED = ("done", "failed", "quarantined", "cancelled")
BAD = ("failed", "quarantined")
"""States that make the exit code of a batch one of failure."""


@dataclass(frozen=True, slots=True)
class OutputState:
    """One output of a job."""

    path: str
    rung: str | None
    """The name of the rung of a ladder."""
    options: dict[str, str | bool]
    """Those of the rung's own."""
    done: bool
    """Whether it is complete and on the disk. While a job runs, it says what was so when its last stage ended."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job, its state and what is known of it."""

    id: int
    spec: JobSpec
    state: str
    """One of `STATES`."""
    stage: str
    """The stage that runs, or comes next."""
    tries: int
    """Runs of a stage that failed or were lost so far."""
    not_before: float
    """Time before which it is not run again, in seconds since the epoch."""
    owner: Owner | None
    """The process that runs it; of a job that is not running, the last one that lost it."""
    before: str | None
    """State of the outputs' files before the encode began (`file_states`)."""
    is_lost: bool
    """Whether the last encode ended without a word, so that its files may be there."""
    cancel: bool
    """Whether the user has asked to cancel it while it runs."""
    error: dict[str, Any] | None
    """The last error as ``--json`` has it."""
    last_words: tuple[str, ...]
    """The last lines of its worker's stderr, after a failure."""
    result: dict[str, Any] | None
    """What the encode returned, as ``encode --json`` has it, or ``ladder --json``."""
    frames: int | None
    started: float | None
    finished: float | None
    """Seconds since the epoch; ``started`` is of the first stage's first run."""
    submitted: float = 0.0
    priority: int = 0
    """Jobs of a higher one go first."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Of a ladder, the outputs that were finished when its last stage ended, with what its journal says of each."""

    @classmethod
    def of(cls, row: sqlite3.Row) -> Job:
        """Read a row of the table ``jobs``."""
        owner = None if row["pid"] is None else Owner(row["boot"], row["pid"], row["pid_started"])
        return cls(
            id=row["id"],
            spec=JobSpec.from_json(row["spec"]),
            state=row["state"],
            stage=row["stage"],
            tries=row["tries"],
            not_before=row["not_before"],
            owner=owner,
            before=row["before"],
            is_lost=bool(row["is_lost"]),
            cancel=bool(row["cancel"]),
            error=row["error"] and json.loads(row["error"]),
            last_words=tuple(json.loads(row["last_words"])) if row["last_words"] else (),
            result=row["result"] and json.loads(row["result"]),
            frames=row["frames"],
            started=row["started"],
            finished=row["finished"],
            submitted=row["submitted"],
            priority=row["priority"],
            made=json.loads(row["made"]) if row["made"] else {},
        )

    @property
    def outputs(self) -> list[OutputState]:
        """The outputs, and which of them are finished."""
        is_done = self.state == "done"
        if not self.spec.rungs:
            return [OutputState(self.spec.output, None, {}, is_done)]
        return [
            OutputState(rung.output, rung.name, dict(rung.options), is_done or rung.output in self.made) for rung in self.spec.rungs
        ]

    def to_json(self, *, result: bool = True) -> dict[str, Any]:
        """The object that ``batch --json`` prints for a job."""
        return {
            "job": self.id,
            "state": self.state,
            "stage": self.stage,
            "source": self.spec.source,
            "output": self.spec.output,
            "outputs": [asdict(one) for one in self.outputs],
            "options": dict(self.spec.options),
            "tries": self.tries,
            "error": self.error,
            "last_words": list(self.last_words),
            "seconds": None if self.started is None or self.finished is None else round(self.finished - self.started, 3),
            **({"result": self.result} if result else {}),
        }
