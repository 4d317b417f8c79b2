"""The data that the parts of the harness exchange: a case, the run of it, and the verdict."""

from __future__ import annotations

import hashlib
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Name:
    """Names one case; the same name makes the same case, given the same intact inputs."""

    kind: str
    seed: int
    index: int

    def random(self) -> random.Random:
        """The random numbers of this case alone, so that a case does not depend on those before it."""
        return random.Random(hashlib.sha256(f"{self.kind}/{self.seed}/{self.index}".encode()).digest())

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read ``KIND:SEED:INDEX``. Raises `ValueError`."""
        kind, seed, index = text.split(":")
        return cls(kind, int(seed), int(index))


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the program while it runs."""

    signal: int = 0
    """Signal that is sent; 0 sends none."""
    moment: float = 0.0
    """When, as a share of the time that an undisturbed run takes."""
    pid_namespace: bool = False
    """Whether the program runs as process 1 of its own PID namespace."""
    again: bool = False
    """Whether the same command must succeed afterwards and leave nothing else behind."""
    stop_child: bool = False
    """Whether the ffmpeg that the program runs is stopped (SIGSTOP) before the signal."""
    disk: tuple[tuple[str, int], ...] = ()
    """Folders of the case on a file system of this many KiB each; 0 KiB makes it read-only."""
    limits: tuple[tuple[str, int], ...] = ()
    """Names and values of `resource` limits, such as ``RLIMIT_FSIZE``."""
    streams: str = ""
    """What is wrong with a standard stream: ``stdout-closed``, ``stderr-closed``, ``stdout-full``, ``stderr-full`` or ``ascii``."""


@dataclass(slots=True)
class Case:
    """One run of the program to be judged. All paths lie below the case's folder."""

    what: str
    """What was done to the input, for people."""
    arguments: list[str]
    source: Path | None = None
    """The clip of which the output must be complete."""
    output: Path | None = None
    allowed: list[Path] = field(default_factory=list)
    """Files that a success may leave, besides ``output``."""
    intact_frames: int | None = None
    """Number of frames before the damage."""
    cut: str = ""
    """Where the file was cut, if inside a packet or box: a fact that the harness knows and no reader may report."""
    memory_mib: float = 1500.0
    """A run that needs more is ended and fails: inputs of some kB do not need it."""
    whole: bool = True
    """Whether a success must have all frames of the source."""
    forbidden: str = ""
    """If not empty, a success is a failure of this kind."""
    fresh: bool = False
    """Whether a new interpreter runs the program, in place of a copy of one that has imported it."""
    fault: Fault = field(default_factory=Fault)
    skip: str = ""
    """The reason why this machine cannot run the case."""


@dataclass(slots=True)
class Run:
    """How one run of the program ended."""

    code: int
    """Exit status; negative for a signal."""
    stdout: str
    stderr: str
    seconds: float
    peak_mib: float
    hung: bool = False
    unendable: bool = False
    """Whether SIGTERM did not end it after the time limit."""
    over_memory: bool = False
    processes: list[str] = field(default_factory=list)
    """Commands of processes that outlived it."""
    files: list[str] = field(default_factory=list)
    """Paths that are new or changed, relative to the case's folder; without the cache of the program."""
    ended_before_signal: bool = False
    skipped: str = ""
    """The reason why the machine did not allow the run."""


RIGHT, CLEAN, WARNED, APART, SKIPPED, FAILED = "right", "clean error", "warned", "listed apart", "skipped", "FAILED"


@dataclass(slots=True)
class Verdict:
    """The judgement on one case."""

    name: str
    what: str
    result: str
    """One of the constants above."""
    failure: str = ""
    """Kind of failure, such as ``unwarned short output``."""
    reason: str = ""
    code: int | None = None
    seconds: float = 0.0
    fresh: bool = False
    command: str = ""
    kept: str = ""
    """Folder with the case's files."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
