"""`Queue`: the jobs in an SQLite database. Each change is one transaction, on the disk when the method returns.

Several processes may use one database at once, each with a `Queue` of its own: a run claims jobs, and ``status``, ``retry`` and
``cancel`` read and change states beside it. WAL lets readers and the writer not wait for each other; ``synchronous=FULL`` flushes
the log at each commit. WAL needs memory that all processes share, so the database must be on a local disk.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.row import BAD, Job
from gpu_saliency.errors import QueueError

VERSION = 3
STAGES = ("plan", "encode")
_BUSY_SECONDS = 30
_SCHEMA = f"""
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, source_state TEXT,
    state TEXT NOT NULL DEFAULT 'queued', stage TEXT NOT NULL DEFAULT '{STAGES[0]}', tries INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0, boot TEXT, pid INTEGER, pid_started INTEGER, before TEXT,
    is_lost INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0, error TEXT, last_words TEXT, result TEXT, frames INTEGER,
    output_state TEXT, submitted REAL NOT NULL, started REAL, finished REAL, priority INTEGER NOT NULL DEFAULT 0,
    made TEXT
) STRICT;
CREATE TABLE places (place TEXT PRIMARY KEY, job INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX places_of ON places (job);
CREATE INDEX next ON jobs (state, stage, priority DESC, id);
PRAGMA user_version = {VERSION};
"""
_UPGRADES = {
    1: (
        "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
        "DROP INDEX next",
        "CREATE INDEX next ON jobs (state, stage, priority DESC, id)",
    ),
    2: (
        "ALTER TABLE jobs ADD COLUMN made TEXT",
        "CREATE TABLE places (place TEXT PRIMARY KEY, job INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE INDEX places_of ON places (job)",
        "INSERT INTO places SELECT place, id FROM jobs",
    ),
}
"""What makes the next version of a database of each older one."""
_RESET = "state = 'queued', stage = 'plan', tries = 0, not_before = 0, cancel = 0, error = NULL, last_words = NULL, result = NULL"


class Queue:
    """The jobs of one database; a context manager that closes it. All methods raise `QueueError`."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the database ``path``, which is made where it does not exist; with ``create=False`` that is an error."""
        self.path = path
        if not create and not path.exists():
            raise QueueError(f"{path}: does not exist", cure="give the output folder of a batch that was started")
        with self._reported():
            self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            with self._writing():
                version = self._db.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        self._db.execute(statement)
                for older in range(version or VERSION, VERSION):
                    for statement in (*_UPGRADES[older], f"PRAGMA user_version = {older + 1}"):
                        self._db.execute(statement)
        if version > VERSION:
            self._db.close()
            raise QueueError(f"{path}: is of another version of gpu-saliency", cure="finish it with that one, or remove the file")
        if version == 0:
            with self._reported():
                flush_folder(path.parent)

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(sqlite3.Error):  # what was committed is in the log
            self._db.close()

    def add(self, specs: Iterable[tuple[JobSpec, str | None]], priorities: Mapping[str, int] | None = None) -> list[int]:
        """Add jobs, each with the state of its source's file, all in one transaction; returns their numbers.

        ``priorities`` has those that are not 0, by the job's `JobSpec.place`.

        A job that is there with one of the same outputs is replaced and begins anew; it may replace its files.
        """
        now = time.time()
        with self._reported(), self._writing():
            return [self._add(spec, source_state, now, (priorities or {}).get(spec.place, 0)) for spec, source_state in specs]

    def _add(self, spec: JobSpec, source_state: str | None, now: float, priority: int) -> int:
        marks = ", ".join("?" * len(spec.places))
        found = self._db.execute(f"SELECT DISTINCT job FROM places WHERE place IN ({marks})", spec.places).fetchall()
        if len(found) > 1:
            numbers = " and ".join(str(row[0]) for row in found)
            raise QueueError(f"{spec.output}: its outputs belong to the jobs {numbers}", cure="give other outputs")
        values = (spec.place, spec.to_json(), source_state, now, priority)
        if found:
            job: int = found[0][0]
            self._db.execute(
                "UPDATE jobs SET place = ?, spec = ?, source_state = ?, submitted = ?, priority = ?, started = NULL, "
                f"finished = NULL, is_lost = max(is_lost, state = 'done'), {_RESET} WHERE id = ?",
                (*values, job),
            )
            self._db.execute("DELETE FROM places WHERE job = ?", (job,))
        else:
            job = self._db.execute(
                "INSERT INTO jobs (place, spec, source_state, submitted, priority) VALUES (?, ?, ?, ?, ?) RETURNING id", values
            ).fetchone()[0]
        self._db.executemany("INSERT INTO places VALUES (?, ?)", [(place, job) for place in spec.places])
        return job

    def find(self, place: str) -> tuple[Job, str | None, str | None] | None:
        """The job of which an output has the hash ``place``.

        With it come the states of its source at submission (`file_state`) and of its outputs at the end (`file_states`).
        """
        with self._reported():
            row = self._db.execute(
                "SELECT jobs.* FROM places JOIN jobs ON jobs.id = places.job WHERE places.place = ?", (place,)
            ).fetchone()
        return None if row is None else (Job.of(row), row["source_state"], row["output_state"])

    def claim(self, stage: str, owner: Owner) -> Job | None:
        """Take the next job that waits for ``stage``, the highest priority first; ``None`` where there is none.

        No two claims return the same job.
        """
        now = time.time()
        with self._reported(), self._writing():
            row = self._db.execute(
                "UPDATE jobs SET state = 'running', boot = ?, pid = ?, pid_started = ?, started = coalesce(started, ?) WHERE id = "
                "(SELECT id FROM jobs WHERE state = 'queued' AND stage = ? AND not_before <= ? ORDER BY priority DESC, id LIMIT 1) "
                "RETURNING *",
                (owner.boot, owner.pid, owner.started, now, stage, now),
            ).fetchone()
        return None if row is None else Job.of(row)

    def note_before(self, job: int, state: str | None) -> None:
        """Store the state of the outputs' files before an encode begins (`file_states`)."""
        self._set(job, before=state)

    def advance(self, job: int, stage: str, frames: int | None) -> None:
        """The stage before ``stage`` is done: the job waits for ``stage``."""
        self._set(job, "AND state = 'running'", state="queued", stage=stage, frames=frames)

    def keep_made(self, job: int, made: Mapping[str, Any]) -> None:
        """Store which outputs of a ladder are finished (`gpu_saliency.batch.journal`)."""
        self._set(job, made=json.dumps(made))

    def finish(self, job: int, result: dict[str, Any] | None, output_state: str | None) -> None:
        """The job is done, and its outputs are on the disk."""
        fields: dict[str, Any] = {
            "result": None if result is None else json.dumps(result),
            "output_state": output_state,
            "is_lost": 0,
        }
        fields |= {"state": "done", "finished": time.time(), "error": None, "last_words": None, "cancel": 0}
        self._set(job, **fields)

    def fail(self, job: int, state: str, error: dict[str, Any], last_words: Sequence[str], tries: int) -> None:
        """The job has ended badly, in ``state``: ``failed``, ``quarantined`` or ``cancelled``."""
        words = json.dumps(list(last_words))
        self._set(job, state=state, error=json.dumps(error), last_words=words, tries=tries, finished=time.time(), cancel=0)

    def put_back(
        self,
        job: int,
        *,
        tries: int,
        not_before: float,
        is_lost: bool,
        error: dict[str, Any] | None = None,
        stage: str | None = None,
    ) -> None:
        """The job waits again, not before a time; ``is_lost``: its worker ended without a word."""
        kept = {} if stage is None else {"stage": stage}
        text = None if error is None else json.dumps(error)
        self._set(job, state="queued", tries=tries, not_before=not_before, is_lost=int(is_lost), error=text, **kept)

    def left_running(self) -> list[Job]:
        """The jobs that are marked as running."""
        return self._jobs("WHERE state = 'running' ORDER BY id")

    def cancelled(self) -> list[int]:
        """The running jobs that the user has asked to cancel."""
        with self._reported():
            return [row[0] for row in self._db.execute("SELECT id FROM jobs WHERE state = 'running' AND cancel = 1")]

    def retry(self, jobs: Sequence[int]) -> list[int]:
        """Let these jobs, or all that ended badly, begin anew; returns those that were not done, queued or running."""
        with self._reported(), self._writing():
            chosen = [one for one in self._chosen(jobs) if one["state"] in (*BAD, *(["cancelled"] if jobs else []))]
            for one in chosen:
                self._db.execute(f"UPDATE jobs SET {_RESET}, finished = NULL WHERE id = ?", (one["id"],))
        return [one["id"] for one in chosen]

    def cancel(self, jobs: Sequence[int]) -> list[int]:
        """Cancel these jobs, or all, that are queued or running; returns their numbers. A run ends those that it runs."""
        with self._reported(), self._writing():
            chosen = [one for one in self._chosen(jobs) if one["state"] in ("queued", "running")]
            for one in chosen:
                change = "cancel = 1" if one["state"] == "running" else "state = 'cancelled', finished = ?"
                values = (one["id"],) if one["state"] == "running" else (time.time(), one["id"])
                self._db.execute(f"UPDATE jobs SET {change} WHERE id = ?", values)
        return [one["id"] for one in chosen]

    def counts(self) -> dict[str, int]:
        """The number of jobs by state, and of the queued and running ones by stage as ``queued/plan``."""
        found: dict[str, int] = {}
        with self._reported():
            for state, stage, count in self._db.execute("SELECT state, stage, count(*) FROM jobs GROUP BY state, stage"):
                found[state] = found.get(state, 0) + count
                if state in ("queued", "running"):
                    found[f"{state}/{stage}"] = count
        return found

    def jobs(self, states: Sequence[str] = (), limit: int = -1) -> list[Job]:
        """The jobs in ``states`` (none: all), in order."""
        where = f"WHERE state IN ({', '.join('?' * len(states))}) " if states else ""
        return self._jobs(f"{where}ORDER BY id LIMIT ?", *states, limit)

    def page(self, states: Sequence[str], limit: int, before: int | None = None) -> list[Job]:
        """The newest jobs in ``states`` (none: all) with numbers below ``before``, the newest first."""
        conditions = [f"state IN ({', '.join('?' * len(states))})"] if states else []
        conditions += ["id < ?"] if before is not None else []
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        return self._jobs(f"{where}ORDER BY id DESC LIMIT ?", *states, *([] if before is None else [before]), limit)

    def job(self, number: int) -> Job | None:
        """The job with this number."""
        return next(iter(self._jobs("WHERE id = ?", number)), None)

    def prioritise(self, job: int, priority: int) -> None:
        """Let a job go before those of lower priority; it has no effect on a stage that runs."""
        self._set(job, priority=priority)

    def check_writable(self) -> None:
        """Write to the database, and change nothing in it. Raises `QueueError`."""
        with self._reported(), self._writing():
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def next_time(self) -> float | None:
        """The earliest time at which a queued job may run; ``None`` where none is queued."""
        with self._reported():
            found: float | None = self._db.execute("SELECT min(not_before) FROM jobs WHERE state = 'queued'").fetchone()[0]
        return found

    def match(self, word: str) -> list[int]:
        """The jobs that ``word`` names: a number, or a path or name of the source or output."""
        if word.isascii() and word.isdigit():
            return [row[0] for row in self._db.execute("SELECT id FROM jobs WHERE id = ?", (int(word[:18]),))]
        wanted = os.path.normpath(Path(word).absolute())
        found = []
        for job in self._jobs(""):
            paths = (job.spec.source, *job.spec.outputs)
            if wanted in paths or word in {Path(path).name for path in paths}:
                found.append(job.id)
        return found

    def _chosen(self, jobs: Sequence[int]) -> list[sqlite3.Row]:
        if not jobs:
            return self._db.execute("SELECT id, state FROM jobs").fetchall()
        rows = (self._db.execute("SELECT id, state FROM jobs WHERE id = ?", (job,)).fetchone() for job in jobs)
        return [row for row in rows if row is not None]

    def _jobs(self, rest: str, *values: object) -> list[Job]:
        with self._reported():
            return [Job.of(row) for row in self._db.execute(f"SELECT * FROM jobs {rest}", values)]

    def _set(self, job: int, condition: str = "", **fields: object) -> None:
        names = ", ".join(f"{name} = ?" for name in fields)
        with self._reported(), self._writing():
            self._db.execute(f"UPDATE jobs SET {names} WHERE id = ? {condition}", (*fields.values(), job))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; IMMEDIATE, so that two processes wait for each other at its start."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, QueueError):
                raise
            raise QueueError(
                f"{self.path}: the queue cannot be used: {_reason(error, self.path.parent)}",
                cure="check its disk; no finished job is lost",
            ) from error


def _reason(error: Exception, folder: Path) -> str:
    """The error in words; SQLite calls a disk that has become read-only one with an I/O error."""
    if isinstance(error, sqlite3.OperationalError):
        try:
            os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as found:
            if found.errno == errno.EROFS:
                return f"its disk is read-only ({error})"
    return str(error)


def flush_folder(folder: Path) -> None:
    """Have the names in ``folder`` on the disk when this returns. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
