"""`Journal`: which outputs of a ladder are finished, so that no other try makes them again.

A stage writes it beside the maps, where a later worker finds it; when the job ends it moves into the queue. Before an encode it
notes the state of the output's file; after the encode, once the output is on the disk, its new state and the result. So after a
kill an output counts as finished where its file is the one that was noted; or, as for single encodes (outputs.py), where it has
appeared since the encode began and has the size that the sidecar notes, unless the machine was started again since.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpu_saliency.batch.job import JobSpec, file_state
from gpu_saliency.batch.outputs import appeared
from gpu_saliency.batch.place import journal_file, maps_file
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue, flush_folder
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.files import publish

_NOT_COMPARED = frozenset({"overwrite"})
"""Options that do not make another encode."""


class Journal:
    """The journal of one job; an encode is named by its output and by all that makes it what it is."""

    def __init__(self, path: Path, known: Mapping[str, Any]) -> None:
        """``known`` are entries of earlier runs; those in the file are newer."""
        self._path = path
        self._entries = {**known, **read_journal(path)}

    def finished(self, spec: JobSpec) -> dict[str, Any] | None:
        """The result of an encode that is finished and whose output is unchanged; else ``None``."""
        entry = self._entries.get(spec.output)
        if entry is None or entry.get("key") != _key(spec):
            return None
        if "result" in entry:
            return entry["result"] if entry["state"] == file_state(spec.output) else None
        found = appeared(spec, entry["before"]) if entry["boot"] == _boot() else None
        return None if found is None else found | {name: found["encode"].get(name) for name in ("encoder", "scale")}

    def is_of_others(self, spec: JobSpec) -> bool:
        """Whether the output was finished, and another file has its name now."""
        entry, state = self._entries.get(spec.output, {}), file_state(spec.output)
        return "result" in entry and state is not None and state != entry["state"]

    def made(self, spec: JobSpec) -> dict[str, Any] | None:
        """The entry of an encode that is finished, also where its source is gone by now; else ``None``."""
        entry = self._entries.get(spec.output, {})
        if "result" in entry:
            return dict(entry)
        result = self.finished(spec)
        return None if result is None else _done(spec, result)

    def begin(self, spec: JobSpec) -> None:
        """An encode begins. Raises `OutputError`."""
        self._write(spec, {"key": _key(spec), "before": file_state(spec.output), "boot": _boot()})

    def finish(self, spec: JobSpec, result: Mapping[str, Any]) -> None:
        """An encode has ended, and its output is on the disk. Raises `OutputError`."""
        self._write(spec, _done(spec, result))

    def _write(self, spec: JobSpec, entry: dict[str, Any]) -> None:
        self._entries[spec.output] = entry
        with publish(self._path) as temporary, temporary.open("w", encoding="ascii") as file:
            json.dump(self._entries, file)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # without it only a power loss can make an encode run again
            flush_folder(self._path.parent)


def read_journal(path: Path) -> dict[str, Any]:
    """The entries in the file ``path`` by output; none where it is missing or no journal."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def with_journal(job: Job, maps: Path) -> Job:
    """``job`` with what its journal in the folder ``maps`` says of the outputs of a ladder."""
    if not job.spec.rungs:
        return job
    journal = Journal(journal_file(maps_file(maps, job.id)), job.made)
    entries = {spec.output: journal.made(spec) for spec in job.spec.encodes()}
    return replace(job, made={output: entry for output, entry in entries.items() if entry is not None})


def move_journal(queue: Queue, job: Job, maps: Path) -> Job:
    """Move the journal of a ladder that no stage writes into the queue; returns the job `with_journal`. Raises `QueueError`."""
    found = with_journal(job, maps)
    if found.made != job.made:
        queue.keep_made(job.id, found.made)
    if job.spec.rungs:
        journal_file(maps_file(maps, job.id)).unlink(missing_ok=True)
    return found


def _done(spec: JobSpec, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": _key(spec), "state": file_state(spec.output), "result": dict(result)}


def _key(spec: JobSpec) -> str:
    """Equal for encodes that make the same file."""
    options = {name: value for name, value in spec.options.items() if name not in _NOT_COMPARED}
    text = json.dumps([spec.source, file_state(spec.source), options], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _boot() -> str:
    return Owner.current().boot
