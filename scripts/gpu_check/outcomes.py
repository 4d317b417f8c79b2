"""The outcomes of the checks: a table, and one archive with it and with all logs."""

from __future__ import annotations

import json
import tarfile
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

PASSED, FAILED, SKIPPED, NOT_STARTED, RUNNING = "passed", "failed", "skipped", "not started", "running"
ARCHIVE = "gpu-check.tar.gz"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a check."""

    name: str
    state: str
    seconds: float = 0
    line: str = ""
    """The reason why it did not run; else the last line of its log, followed by how it ended if it failed."""


class Outcomes:
    """Collects the outcomes in the order of the checks, from several threads; writes all with the logs to one archive."""

    def __init__(self, logs: Path, folder: Path) -> None:
        """``logs`` is the folder of the logs, ``folder`` the one that gets the archive."""
        folder.mkdir(parents=True, exist_ok=True)
        self._logs, self._archive = logs, folder / ARCHIVE
        self._lock = threading.Lock()
        self._found: dict[str, Outcome] = {}

    def set(self, outcome: Outcome) -> None:
        """Add ``outcome``, or replace that of the same check."""
        with self._lock:
            self._found[outcome.name] = outcome
            if outcome.state not in (NOT_STARTED, RUNNING):
                self._write()

    @property
    def all(self) -> list[Outcome]:
        return list(self._found.values())

    @property
    def exit_status(self) -> int:
        """0 if every check passed or was skipped, else 1."""
        return 0 if all(one.state in (PASSED, SKIPPED) for one in self.all) else 1

    def write(self) -> None:
        with self._lock:
            self._write()

    def _write(self) -> None:
        (self._logs / "outcomes.json").write_text(json.dumps([asdict(one) for one in self.all], indent=1) + "\n")
        (self._logs / "table.md").write_text("\n".join(table(self.all)) + "\n")
        # A kill while it is written leaves the archive of the check before.
        part = self._archive.with_name(self._archive.name + ".part")
        with tarfile.open(part, "w:gz") as archive:
            archive.add(self._logs, "gpu-check")
        part.replace(self._archive)


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """Format the outcomes as a Markdown table, ready to paste into a document."""
    rows = []
    for one in outcomes:
        state = f"**{one.state}**" if one.state in (FAILED, NOT_STARTED) else one.state
        line = one.line[:160].replace("|", "\\|")
        rows.append(f"| {one.name} | {state} | {f'{one.seconds:.0f} s' if one.seconds else ''} | {line} |")
    return ["| Check | | Time | Last line |", "|---|---|---|---|", *rows]


def file_name(name: str) -> str:
    """The name of a check as part of a file's name."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name).split())
