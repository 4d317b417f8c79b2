"""`Desk`: takes jobs into the queue. It resolves and confines their paths, checks them, and says which exist already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.batch.job import JobSpec, Options, RungSpec, place_of
from gpu_saliency.batch.lists import Listed
from gpu_saliency.batch.names import fill_template
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.batch.rungs import make_rungs
from gpu_saliency.batch.submit import Submission, submit
from gpu_saliency.errors import GpuSaliencyError, OutputError, spell_all, spell_python
from gpu_saliency.rungs import read_rungs
from gpu_saliency.serve.disk import Disk
from gpu_saliency.serve.options import OptionTable
from gpu_saliency.serve.roots import Roots

_AGAIN = ("failed", "quarantined", "cancelled")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as a client or a watched folder asks for it; paths as they were given."""

    source: str
    output: str | None
    """Of a ladder it is a template."""
    options: dict[str, str | bool]
    priority: int = 0
    rungs: object = None
    """The rungs of a ladder (see `read_rungs`); ``None``: those of all jobs, ``False``: none."""
    outputs: tuple[str, ...] | None = None
    """The outputs of a ladder where they are named already."""


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
        listed: list[tuple[Listed, JobSpec]] = []
        owners: dict[str, int] = {}
        for number, one in enumerate(wanted):
            try:
                entry, spec = self._listed(queue, number, one)
                twice = next((output for output in spec.outputs if output in owners), None)
                if twice is not None:
                    cure = "give each job of a list an output of its own"
                    raise OutputError(f"{twice}: is the output of job {owners[twice]} of this list too", cure=cure)
                owners |= dict.fromkeys(spec.outputs, number)
                listed.append((entry, spec))
            except GpuSaliencyError as error:
                found[number] = Taken(None, error=error)
        ended = [job.id for _, spec in listed if again and (job := self._ended(queue, spec)) is not None]
        before = {entry.where: _find(queue, spec.output) for entry, spec in listed}
        submitted = submit(queue, [entry for entry, _ in listed], self.rules)
        if ended:
            queue.retry(ended)
        for text in submitted.notes:
            self.note(spell_all(text, spell_python))
        for where, reason in submitted.refused:
            found[int(where)] = Taken(None, error=reason)
        for entry, spec in listed:
            number = int(entry.where)
            if found[number] is None:
                found[number] = self._taken(queue, spec, before[entry.where])
        return [one for one in found if one is not None]

    def _listed(self, queue: Queue, number: int, one: Wanted) -> tuple[Listed, JobSpec]:
        """Resolve all paths. Raises `OutsideError`, `DiskLowError`, or `OutputError` where another job writes an output."""
        source = self.roots.resolve(one.source)
        paths = {name: self.roots.resolve(value) for name, value in self.table.paths(one.options)}
        options = {**self.rules.options, **one.options, **paths}
        rungs = self._rungs(Path(source), number, one, {name: value for name, value in options.items() if value is not False})
        output = rungs[0].output if rungs else self.roots.resolve(one.output or self._default(Path(source), options))
        listed = Listed(
            str(number),
            Path(source),
            output=output,
            outputs=tuple(rung.output for rung in rungs) or None,
            options=one.options | paths,
            rungs=one.rungs,
            priority=one.priority,
        )
        spec = JobSpec(source, output, options, rungs)
        self.roots.check(self.table.files(spec))
        for path in spec.outputs:
            self.disk.check(path)
            job = _find(queue, path)
            if job is not None and job.state in ("queued", "running") and not _is_same(job, spec):
                raise OutputError(f"{path}: job {job.id} is about to write it", cure="cancel that job, or give another output")
        return listed, spec

    def _rungs(self, source: Path, number: int, one: Wanted, options: dict[str, str | bool]) -> tuple[RungSpec, ...]:
        """The outputs of a ladder; none for a single encode."""
        asked = self.rules.rungs if one.rungs is None else () if one.rungs is False else tuple(read_rungs(one.rungs))
        usual = Path(self._default(source, options)).name.replace("{", "{{").replace("}", "}}")
        stem, dot, suffix = usual.rpartition(".")
        template = one.output or f"{str(source.parent).replace('{', '{{').replace('}', '}}')}/{stem}-{{rung}}{dot}{suffix}"
        known = iter(one.outputs or ())

        def name_output(name: str, all_options: Options) -> str:
            given = next(known, None)
            if given is None:
                filled = fill_template(template, source, "", number + 1, all_options, self.rules.known, rung=name, confined=False)
                given = str(filled)
            return self.roots.resolve(given)

        return make_rungs(asked, options, name_output)

    def _default(self, source: Path, options: dict[str, str | bool]) -> str:
        return str(self.default_output(source, str(options.get("encoder") or "libx264")))

    def _ended(self, queue: Queue, spec: JobSpec) -> Job | None:
        """The job that asked for the same and ended badly: it begins anew."""
        job = _find(queue, spec.output)
        return job if job is not None and job.state in _AGAIN and _is_same(job, spec) else None

    def _taken(self, queue: Queue, spec: JobSpec, before: Job | None) -> Taken:
        job = _find(queue, spec.output)
        assert job is not None
        is_new = before is None or job.submitted != before.submitted or (before.state in _AGAIN and job.state == "queued")
        return Taken(job, is_new)

    def check_again(self, spec: JobSpec) -> None:
        """Raise `OutsideError` if a path of ``spec`` leads out of the allowed folders by now."""
        self.roots.check(self.table.files(spec))


def _find(queue: Queue, output: str) -> Job | None:
    entry = queue.find(place_of(output))
    return None if entry is None else entry[0]


def _is_same(job: Job, spec: JobSpec) -> bool:
    """Whether a job asks for what ``spec`` does; threads count where it names them."""
    own: dict[str, Any] = dict(job.spec.options)
    other = {name: value for name, value in spec.options.items() if value is not False}
    if "threads" not in other:
        own.pop("threads", None)
    rungs = [[(rung.output, dict(rung.options)) for rung in one.rungs] for one in (job.spec, spec)]
    return job.spec.source == spec.source and own == other and rungs[0] == rungs[1]
