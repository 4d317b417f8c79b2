"""The bodies of requests and answers: the types with which they are checked, and from which the OpenAPI document is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gpu_saliency.batch.queue.row import Job
from gpu_saliency.rungs import KEYS, MOST_RUNGS

MOST_JOBS = 1000
"""Most jobs in one request."""
MOST_NUMBER = 2**53 - 1
State = Literal["queued", "running", "done", "failed", "quarantined", "cancelled"]
Priority = Annotated[int, Meta(ge=-100, le=100, description="Jobs of a higher priority go first.")]
Seconds = Annotated[float, Meta(description="Seconds since the epoch.")]
_PathText = Annotated[str, Meta(min_length=1, max_length=4096, description="Absolute, or from the first allowed folder.")]


class OutputView(Struct):
    """One output of a job."""

    number: int
    """From 1, in the order of the rungs."""
    path: str
    rung: str | None
    """The name of the rung of a ladder."""
    options: dict[str, str | bool]
    """Those of the rung's own."""
    done: bool
    """Whether it is complete and on the disk; also of a job that has failed or was cancelled."""


class JobView(Struct):
    """A job and what is known of it."""

    id: int
    state: State
    stage: Literal["plan", "encode"]
    source: str
    output: str
    """Of a ladder the first one."""
    outputs: list[OutputView]
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
            outputs=[OutputView(number, one.path, one.rung, one.options, one.done) for number, one in enumerate(job.outputs, 1)],
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


_Text = Annotated[str, Meta(max_length=4096)]


class Rung(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One output of a ladder; what it does not say it takes from the options of the job."""

    name: _Text | None = None
    """Stands for `{rung}` in the path of the output; by default the size, such as 1280x720."""
    scale: _Text | None = None
    """The size, such as 1280x720 or 1280:-2."""
    crop: _Text | None = None
    encoder: _Text | None = None
    preset: _Text | int | None = None
    crf: _Text | int | float | None = None
    bitrate: _Text | int | None = None
    encoder_params: _Text | None = None
    output_pix_fmt: _Text | None = None
    audio_codec: _Text | None = None
    audio_bitrate: _Text | int | None = None


Rungs = Annotated[
    list[Rung | _Text],
    Meta(
        max_length=MOST_RUNGS,
        description="The outputs of a ladder, as objects or as texts such as 1280x720:crf=23; none: a single encode. "
        "The output of the job is a template then, such as out/a-{rung}.mp4.",
    ),
]


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


def asked_rungs(given: list[Rung | str] | None) -> object:
    """The rungs of a submission as `gpu_saliency.rungs.read_rungs` reads them; ``None``: the server's, ``False``: none."""
    if not given:
        return None if given is None else False
    return [one if isinstance(one, str) else {key: getattr(one, key) for key in KEYS} for one in given]


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
                ("rungs", Rungs | None, None),
                ("priority", Priority, 0),
            ],
            forbid_unknown_fields=True,
        )
        jobs = Annotated[list[job], Meta(min_length=1, max_length=MOST_JOBS)]  # type: ignore[valid-type]
        return cls(job, job | jobs)
