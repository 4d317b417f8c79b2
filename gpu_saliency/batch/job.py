"""`JobSpec`: what one job of a batch is asked to do, as it is stored in the queue."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One encode: a source, an output, and the options of ``encode`` by their flags without dashes, such as ``crf``."""

    source: str
    """Absolute path."""
    output: str
    """Absolute path."""
    options: Mapping[str, str | bool] = field(default_factory=dict)
    """Values as text; ``True`` for an option without a value. The number of threads is one of them."""

    def to_json(self) -> str:
        """The text that the queue stores: ASCII, also for names that are not UTF-8."""
        return json.dumps({"source": self.source, "output": self.output, "options": dict(sorted(self.options.items()))})

    @classmethod
    def from_json(cls, text: str) -> JobSpec:
        """Read what `to_json` wrote. Raises `ValueError`."""
        fields: dict[str, Any] = json.loads(text)
        return cls(fields["source"], fields["output"], fields["options"])

    @property
    def place(self) -> str:
        """What two jobs must not share: a hash of the output's path."""
        return hashlib.sha256(os.fsencode(self.output)).hexdigest()

    def in_shard(self, index: int, count: int) -> bool:
        """Whether this job belongs to shard ``index``, 1..``count``; the output's path decides."""
        return int(self.place[:15], 16) % count == index - 1


def file_state(path: str | Path) -> str | None:
    """Inode, size and time of change of a file as text; ``None`` where there is none. Two equal ones: the file is unchanged."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
