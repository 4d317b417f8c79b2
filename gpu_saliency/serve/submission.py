"""`Desk`: takes jobs into the queue. It resolves and confines their paths, checks them, and says which exist already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.lists import Listed
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.batch.submit import Submission, submit
from gpu_saliency.errors import GpuSaliencyError, OutputError, spell_all, spell_python
from gpu_saliency.serve.disk import Disk
from gpu_saliency.serve.options import OptionTable
from gpu_saliency.serve.roots import Roots

_AGAIN = ("failed", "quarantined", "cancelled")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as a client or a watched folder asks for it; paths as they were given."""

    source: str
    output: str | None
    options: dict[str, str | bool]
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one wanted job: its place in the queue, or why it is refused."""

    job: Job | None
    is_new: bool = False
    error: GpuSaliencyError | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """The rules by which jobs are taken."""

    roots: Roots
    disk: Disk
    table: OptionTable
    rules: Submission
    default_output: Callable[[Path, str], Path]
    """The output of a source where none is given, by the encoder."""
    note: Callable[[str], None]
    """Tells the operator what is left as it is, such as an output whose source has changed."""

    def take(self, queue: Queue, wanted: Sequence[Wanted], *, again: bool = True) -> list[Taken]:
        """Add jobs to the queue, all in one transaction. Raises `QueueError`.

        ``again``: a job that ended badly, or was cancelled, begins anew when the same is wanted.
        """
        found: list[Taken | None] = [None] * len(wanted)
        listed: list[Listed] = []
        outputs: dict[str | None, int] = {}
        for number, one in enumerate(wanted):
            try:
                entry = self._listed(queue, number, one)
                first = outputs.setdefault(entry.output, number)
                if first != number:
                    cure = "give each job of a list an output of its own"
                    raise OutputError(f"{entry.output}: is the output of job {first} of this list too", cure=cure)
                listed.append(entry)
            except GpuSaliencyError as error:
                found[number] = Taken(None, error=error)
        ended = [job.id for one in listed if again and (job := self._ended(queue, one)) is not None]
        before = {one.where: _find(queue, one.output) for one in listed}
        submitted = submit(queue, listed, self.rules)
        if ended:
            queue.retry(ended)
        for text in submitted.notes:
            self.note(spell_all(text, spell_python))
        for where, reason in submitted.refused:
            found[int(where)] = Taken(None, error=reason)
        for entry in listed:
            number = int(entry.where)
            if found[number] is None:
                found[number] = self._taken(queue, entry, before[entry.where])
        return [one for one in found if one is not None]

    def _listed(self, queue: Queue, number: int, one: Wanted) -> Listed:
        """Resolve all paths. Raises `OutsideError`, `DiskLowError`, or `OutputError` where another job writes the output."""
        source = self.roots.resolve(one.source)
        encoder = one.options.get("encoder") or self.rules.options.get("encoder") or "libx264"
        output = self.roots.resolve(one.output or str(self.default_output(Path(source), str(encoder))))
        paths = {name: self.roots.resolve(value) for name, value in self.table.paths(one.options)}
        listed = Listed(str(number), Path(source), output=output, options=one.options | paths, priority=one.priority)
        spec = JobSpec(source, output, {**self.rules.options, **listed.options})
        self.roots.check(self.table.files(spec))
        self.disk.check(output)
        job = _find(queue, output)
        if job is not None and job.state in ("queued", "running") and not _is_same(job, spec):
            raise OutputError(f"{output}: job {job.id} is about to write it", cure="cancel that job, or give another output")
        return listed

    def _ended(self, queue: Queue, one: Listed) -> Job | None:
        """The job that asked for the same and ended badly: it begins anew."""
        job = _find(queue, one.output)
        if job is None or job.state not in _AGAIN:
            return None
        return job if _is_same(job, JobSpec(str(one.source), str(one.output), {**self.rules.options, **one.options})) else None

    def _taken(self, queue: Queue, one: Listed, before: Job | None) -> Taken:
        job = _find(queue, one.output)
        assert job is not None
        is_new = before is None or job.submitted != before.submitted or (before.state in _AGAIN and job.state == "queued")
        return Taken(job, is_new)

    def check_again(self, spec: JobSpec) -> None:
        """Raise `OutsideError` if a path of ``spec`` leads out of the allowed folders by now."""
        self.roots.check(self.table.files(spec))


def _find(queue: Queue, output: str | None) -> Job | None:
    entry = queue.find(JobSpec("", str(output)).place)
    return None if entry is None else entry[0]


def _is_same(job: Job, spec: JobSpec) -> bool:
    """Whether a job asks for what ``spec`` does; threads count where it names them."""
    own: dict[str, Any] = dict(job.spec.options)
    other = {name: value for name, value in spec.options.items() if value is not False}
    if "threads" not in other:
        own.pop("threads", None)
    return job.spec.source == spec.source and own == other
