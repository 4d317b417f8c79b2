"""The interface between the scheduler and what runs stages elsewhere: `Engine`. The local pool implements it (local/)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from gpu_saliency.batch.order import Order


@dataclass(frozen=True, slots=True)
class Report:
    """How a stage of a job goes: its progress, or its end."""

    job: int
    stage: str


@dataclass(frozen=True, slots=True)
class Advanced(Report):
    """The work goes on."""

    step: str
    """Such as ``encoding with libx264``."""
    done: int
    """Frames."""
    total: int | None


@dataclass(frozen=True, slots=True)
class Ended(Report):
    """The stage has ended well."""

    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed(Report):
    """The stage has raised an error."""

    error: dict[str, Any]
    """As ``--json`` has it."""
    kind: str
    """Of `outcome.kind_of`."""
    last_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost(Report):
    """The worker has ended, or was ended, without an answer."""

    reason: str
    last_words: tuple[str, ...] = ()
    by_user: bool = False
    """Whether `Engine.cancel` ended it."""
    signal: int | None = field(default=None)


class Engine(Protocol):
    """Runs stages in other processes or on other machines. It decides nothing about jobs."""

    def free(self, stage: str) -> int:
        """How many more jobs of ``stage`` can be started now."""

    def start(self, order: Order) -> None:
        """Start a stage of a job; its reports come from `reports`."""

    def reports(self, seconds: float) -> list[Report]:
        """What has happened; waits for something at most ``seconds``."""

    def cancel(self, job: int) -> None:
        """End the work on ``job``; a `Lost` comes when it has ended, unless it ended otherwise before."""

    def wake(self) -> None:
        """Let `reports` return soon; may be called in a signal handler."""

    def close(self) -> None:
        """End all workers, at once where they still work."""
