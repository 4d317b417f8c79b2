"""The bodies of requests and answers: the types with which they are checked, and from which the OpenAPI document is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gpu_saliency.batch.queue.row import Job

MOST_JOBS = 1000
"""Most jobs in one request."""
MOST_NUMBER = 2**53 - 1
State = Literal["queued", "running", "done", "failed", "quarantined", "cancelled"]
Priority = Annotated[int, Meta(ge=-100, le=100, description="Jobs of a higher priority go first.")]
Seconds = Annotated[float, Meta(description="Seconds since the epoch.")]
_PathText = Annotated[str, Meta(min_length=1, max_length=4096, description="Absolute, or from the first allowed folder.")]


class JobView(Struct):
    """A job and what is known of it."""

    id: int
    state: State
    stage: Literal["plan", "encode"]
    source: str
    output: str
    options: dict[str, str | bool]
    priority: int
    tries: int
    frames: int | None
    submitted: Seconds
    started: Seconds | None
    finished: Seconds | None
    error: dict[str, Any] | None
    """As ``encode --json`` has it."""
    last_words: list[str]
    cancel: bool

    @classmethod
    def of(cls, job: Job) -> JobView:
        """What clients see of ``job``."""
        return cls(
            id=job.id,
            state=job.state,  # type: ignore[arg-type]
            stage=job.stage,  # type: ignore[arg-type]
            source=job.spec.source,
            output=job.spec.output,
            options=dict(job.spec.options),
            priority=job.priority,
            tries=job.tries,
            frames=job.frames,
            submitted=job.submitted,
            started=job.started,
            finished=job.finished if job.state not in ("queued", "running") else None,
            error=job.error,
            last_words=list(job.last_words),
            cancel=job.cancel,
        )


class Problem(Struct):
    """Why a request was refused."""

    kind: str
    message: str
    cure: str | None


class Refusal(Struct):
    """The body of every answer of status 400 and above."""

    error: Problem


class RefusedJob(Struct):
    """A job of a list that was not added."""

    number: int
    """Its place in the list, from 0."""
    error: Problem


class Accepted(Struct):
    """What became of a submission."""

    jobs: list[JobView]
    """Also those that the queue had already."""
    new: int
    refused: list[RefusedJob]


class JobPage(Struct):
    """Some jobs, the newest first."""

    jobs: list[JobView]
    next: int | None
    """The value of ``before`` for the next page; ``None`` on the last."""


class Change(Struct, forbid_unknown_fields=True):
    """What can be changed of a job."""

    priority: Priority


class Listing(Struct, forbid_unknown_fields=True):
    """Which jobs to list."""

    state: list[State] = msgspec.field(default_factory=list)
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Annotated[int, Meta(ge=0, le=MOST_NUMBER, description="Only jobs with lower numbers; 0: all.")] = 0


class Health(Struct):
    """The server answers."""

    status: Literal["ok"]


class Readiness(Struct):
    """Whether the server takes and runs jobs."""

    ready: bool
    checks: dict[str, bool]


class Running(Struct):
    """A stage that runs."""

    job: int
    stage: str
    step: str
    done: int
    total: int | None


class Status(Struct):
    """The server at a glance."""

    version: str
    accepting: bool
    counts: dict[str, int]
    running: list[Running]
    frames_per_second: float
    free_bytes: dict[str, int]
    roots: list[str]


@dataclass(frozen=True, slots=True)
class JobShapes:
    """The types of a submission, which depend on the options of this version."""

    job: type[Struct]
    body: Any
    """One job, or a list of them."""

    @classmethod
    def of(cls, options: type[Struct]) -> JobShapes:
        """The types for jobs with these ``options``."""
        job = msgspec.defstruct(
            "NewJob",
            [
                ("source", _PathText),
                ("output", _PathText | None, None),
                ("options", options, msgspec.field(default_factory=options)),
                ("priority", Priority, 0),
            ],
            forbid_unknown_fields=True,
        )
        jobs = Annotated[list[job], Meta(min_length=1, max_length=MOST_JOBS)]  # type: ignore[valid-type]
        return cls(job, job | jobs)
