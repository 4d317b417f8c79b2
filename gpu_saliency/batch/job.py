"""`JobSpec`: what one job of a batch is asked to do, as it is stored in the queue: one encode, or a ladder of several."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Options = Mapping[str, str | bool]
"""By the flags of ``encode`` without dashes, such as ``crf``: values as text, ``True`` for an option without a value."""
_QUALITY = {"crf": "bitrate", "bitrate": "crf"}
"""Options of which a rung's own replaces the other one of the whole ladder."""


@dataclass(frozen=True, slots=True)
class RungSpec:
    """One output of a ladder."""

    name: str
    """Such as ``1280x720``; no two rungs of a job have the same."""
    output: str
    """Absolute path."""
    options: Options = field(default_factory=dict)
    """Those of its own."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One encode, or a ladder of several from one analysis: a source, outputs, and the options of ``encode``."""

    source: str
    """Absolute path."""
    output: str
    """Absolute path; of a ladder the one of the first rung."""
    options: Options = field(default_factory=dict)
    """The number of threads is one of them."""
    rungs: tuple[RungSpec, ...] = ()
    """The outputs of a ladder; empty for one encode."""

    def to_json(self) -> str:
        """The text that the queue stores: ASCII, also for names that are not UTF-8."""
        fields = {"source": self.source, "output": self.output, "options": dict(sorted(self.options.items()))}
        more = {"rungs": [asdict(rung) for rung in self.rungs]} if self.rungs else {}
        return json.dumps(fields | more)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> JobSpec:
        """Read the fields as JSON has them. Raises `ValueError`, `KeyError` or `TypeError`."""
        rungs = tuple(RungSpec(**rung) for rung in fields.get("rungs", ()))
        return cls(fields["source"], fields["output"], fields["options"], rungs)

    @classmethod
    def from_json(cls, text: str) -> JobSpec:
        """Read what `to_json` wrote. Raises `ValueError`."""
        return cls.from_fields(json.loads(text))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The paths of all outputs."""
        return tuple(rung.output for rung in self.rungs) or (self.output,)

    def encodes(self) -> tuple[JobSpec, ...]:
        """One encode for each output."""
        return tuple(JobSpec(self.source, rung.output, merged(self.options, rung.options)) for rung in self.rungs) or (self,)

    @property
    def place(self) -> str:
        """What two jobs must not share: a hash of the (first) output's path."""
        return place_of(self.output)

    @property
    def places(self) -> tuple[str, ...]:
        """The hashes of all outputs."""
        return tuple(map(place_of, self.outputs))

    def in_shard(self, index: int, count: int) -> bool:
        """Whether this job belongs to shard ``index``, 1..``count``; the (first) output's path decides."""
        return int(self.place[:15], 16) % count == index - 1


def merged(shared: Options, own: Options) -> dict[str, str | bool]:
    """The options of a rung: its own, and those of the ladder that they leave."""
    replaced = {_QUALITY[name] for name in own if name in _QUALITY}
    return {name: value for name, value in shared.items() if name not in replaced} | dict(own)


def place_of(output: str) -> str:
    """A hash of an output's path."""
    return hashlib.sha256(os.fsencode(output)).hexdigest()


def file_state(path: str | Path) -> str | None:
    """Inode, size and time of change of a file as text; ``None`` where there is none. Two equal ones: the file is unchanged."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def file_states(paths: Iterable[str]) -> str | None:
    """The `file_state` of several files, ``-`` for one that is not there; ``None`` where none is."""
    states = [file_state(path) for path in paths]
    return " ".join(state or "-" for state in states) if any(states) else None


def split_states(states: str | None, count: int) -> list[str | None]:
    """The states of which `file_states` made one text, for ``count`` files."""
    words = [] if states is None else states.split(" ")
    return [None if word == "-" else word for word in words] if len(words) == count else [None] * count
