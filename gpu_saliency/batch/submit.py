"""Puts listed jobs into the queue: names their outputs, checks each, and leaves out what is there already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu_saliency.batch.job import JobSpec, Options, RungSpec, file_state, file_states, place_of
from gpu_saliency.batch.lists import Listed
from gpu_saliency.batch.names import fill_template, ladder_template
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.batch.rungs import make_rungs
from gpu_saliency.errors import GpuSaliencyError, OutputError, SourceError, SourceMissingError, UsageError, setting
from gpu_saliency.files import check_output, writing
from gpu_saliency.rungs import read_rungs
from gpu_saliency.untrusted.regular import check_regular

_NOT_COMPARED = frozenset({"overwrite"})
"""Options that do not make another encode."""
Entry = tuple[Job, str | None, str | None]
"""What `Queue.find` returns."""
_PATHS = ("maps", "sidecar", "saliency-model", "ffmpeg-bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The rules for all jobs of one call."""

    out_dir: Path
    template: str
    options: Options
    """Those of all jobs; a job's own come first."""
    known: frozenset[str]
    """The names of all options that a job may have."""
    check: Callable[[JobSpec], None]
    """Raises `GpuSaliencyError` for options that no clip could have."""
    rungs: tuple[Mapping[str, Any], ...] = ()
    """The rungs of all jobs, as `read_rungs` returns them; a job's own replace them."""
    threads: int
    """Threads of each job that names none: fixed now, so that a later run on another machine makes the same file."""
    shard: tuple[int, int] = (1, 1)
    skips_outputs: bool = True
    """Whether a source that a job of the queue writes is left out: it was found in the folder of the sources."""


@dataclass(slots=True)
class Submitted:
    """What became of the listed jobs."""

    new: int = 0
    known: int = 0
    """Jobs that the queue has from an earlier call: they go on, or are done."""
    elsewhere: int = 0
    """Jobs of other shards."""
    refused: list[tuple[str, GpuSaliencyError]] = field(default_factory=list)
    """Where a bad job was listed, and why it is bad."""
    notes: list[str] = field(default_factory=list)


def submit(queue: Queue, listed: Iterable[Listed], rules: Submission) -> Submitted:
    """Add ``listed`` to ``queue`` in one transaction. Raises `UsageError` if two jobs have the same output, before any is added."""
    done = Submitted()
    adding: list[tuple[JobSpec, str | None]] = []
    owners: dict[str, str] = {}
    priorities: dict[str, int] = {}
    for number, one in enumerate(listed, 1):
        try:
            spec = _spec(one, number, rules)
        except GpuSaliencyError as error:
            done.refused.append((one.where, error))
            continue
        if rules.skips_outputs and queue.find(place_of(spec.source)) is not None:
            continue
        for place, output in zip(spec.places, spec.outputs, strict=True):
            other = owners.setdefault(place, one.where)
            if other != one.where:
                cure = f"give {setting('name')} more of {{folder}}, {{name}}, {{ext}} and {{number}}, or an output in the list"
                raise UsageError(f"{one.where} and {other} have the same output {output}", cure=cure)
        if not spec.in_shard(*rules.shard):
            done.elsewhere += 1
            continue
        try:
            job = _known(queue, spec)
            if job is not None and spec.rungs and not _names_threads(one, rules):
                # What is finished of it stays so where another machine would choose other threads.
                spec = replace(spec, options={**spec.options, "threads": job[0].spec.options.get("threads", str(rules.threads))})
            if _is_new(job, spec, one, rules, done):
                rules.check(spec)
                adding.append((spec, file_state(spec.source)))
                priorities[spec.place] = one.priority
            else:
                done.known += 1
        except GpuSaliencyError as error:
            done.refused.append((one.where, error))
    if adding:
        for folder in {Path(output).parent for spec, _ in adding for output in spec.outputs}:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        done.new = len(queue.add(adding, priorities))
    return done


def _known(queue: Queue, spec: JobSpec) -> Entry | None:
    """The job of the queue that has an output of ``spec``. Raises `OutputError` where there are several."""
    entries = {entry[0].id: entry for place in spec.places if (entry := queue.find(place)) is not None}
    if len(entries) > 1:
        numbers = " and ".join(map(str, sorted(entries)))
        cure = f"give another {setting('name')}, or an output in the list"
        raise OutputError(f"{spec.output}: its outputs belong to the jobs {numbers} of the queue", cure=cure)
    return next(iter(entries.values()), None)


def _spec(one: Listed, number: int, rules: Submission) -> JobSpec:
    if one.bad is not None:
        raise UsageError(f"{one.where}: {one.bad}", cure='write a line such as {"src": "a.mp4", "crf": 30}')
    unknown = sorted(one.options.keys() - rules.known)
    if unknown:
        raise UsageError(f"{one.where}: {unknown[0]} is no option of a job", cure="use the options of gpu-saliency encode")
    shared = {name: _absolute(name, value, Path.cwd()) for name, value in rules.options.items()}
    own = {name: _absolute(name, value, one.base) for name, value in one.options.items()}
    options = {name: value for name, value in (shared | own).items() if value is not False}
    options.setdefault("threads", str(rules.threads))
    source = os.path.normpath(one.source)
    try:
        asked = rules.rungs if one.rungs is None else () if one.rungs is False else tuple(read_rungs(one.rungs))
        rungs = _rungs(one, number, asked, options, rules)
    except UsageError as error:
        raise error.inside(one.where) from None
    if rungs:
        return JobSpec(source, rungs[0].output, options, rungs)
    name = one.output or fill_template(rules.template, one.source, one.folder, number, options, rules.known)
    return JobSpec(source, _below(rules.out_dir, name, one), options)


def _rungs(
    one: Listed, number: int, asked: Sequence[Mapping[str, Any]], options: Options, rules: Submission
) -> tuple[RungSpec, ...]:
    """The outputs of a ladder, named by the template, or by the output of the job, which is a template too."""
    template = one.output or ladder_template(rules.template)
    known = iter(one.outputs or ())

    def name_output(name: str, all_options: Options) -> str:
        given = next(known, None)
        if given is not None:
            return given
        path = fill_template(
            template, one.source, one.folder, number, all_options, rules.known, rung=name, confined=one.output is None
        )
        return _below(rules.out_dir, path, one)

    return make_rungs(asked, options, name_output)


def _below(out_dir: Path, name: str | os.PathLike[str], one: Listed) -> str:
    output = os.path.normpath(out_dir / name)
    if os.path.relpath(output, out_dir).startswith(".."):
        raise UsageError(f"{one.where}: its output is not below {out_dir}", cure="give a path below the output folder")
    return output


def _absolute(name: str, value: str | bool, base: Path) -> str | bool:
    """Paths in a list count from its folder, and hold wherever the batch is continued."""
    if name not in _PATHS or not isinstance(value, str) or (name == "ffmpeg-bin" and "/" not in value):
        return value
    return value if name == "saliency-model" and not (base / value).exists() else os.path.normpath(base / value)


def _is_new(entry: Entry | None, spec: JobSpec, one: Listed, rules: Submission, done: Submitted) -> bool:
    """Whether ``spec`` is to be added: it is not in the queue, or is to be done again. Raises `GpuSaliencyError` for a bad one.

    ``entry`` is what the queue has with one of its outputs.
    """
    overwrite = spec.options.get("overwrite") is True
    try:
        check_regular(Path(spec.source))
    except OSError as error:
        if entry is not None:
            return False  # the queue knows it; its run will say
        kind = SourceMissingError if isinstance(error, FileNotFoundError) else SourceError
        raise kind(f"{spec.source}: {error.strerror}", cure="check the path") from None
    if entry is None:
        _check_places(spec.outputs, spec, overwrite=overwrite)
        return True
    job, source_state, output_state = entry
    with_threads = _names_threads(one, rules)
    then, now = _compared(job.spec, with_threads), _compared(spec, with_threads)
    same = job.spec.source == spec.source and then == now
    added = [output for output in now if output not in then]
    if job.state != "done":
        if not same and job.state != "running":
            _check_places(added, spec, overwrite=overwrite)
        return not same and job.state != "running"
    gone = [output for output in spec.outputs if file_state(output) is None]
    if same and gone:
        done.notes.append(f"{', '.join(gone)}: is gone, and is made again")
        return True
    if same and (source_state == file_state(spec.source) or not overwrite):
        if source_state != file_state(spec.source):
            cure = f"give {setting('overwrite', True)} to encode it again"
            done.notes.append(f"{spec.source}: has changed since it was encoded; {cure}")
        elif file_states(spec.outputs) != output_state:
            done.notes.append(f"{', '.join(spec.outputs)}: was changed since; it is left as it is")
        return False
    if overwrite:
        return True
    changed = [output for output in now if output in then and now[output] != then[output]]
    if changed or job.spec.source != spec.source:
        cure = f"give {setting('overwrite', True)}, or another {setting('name')}"
        raise OutputError(f"{(changed or spec.outputs)[0]}: was encoded with other options before", cure=cure)
    # A ladder with more rungs, or fewer, of which the others are as before.
    _check_places(added, spec, overwrite=False)
    return bool(added)


def _names_threads(one: Listed, rules: Submission) -> bool:
    return "threads" in one.options or "threads" in rules.options


def _compared(spec: JobSpec, with_threads: bool) -> dict[str, dict[str, str | bool]]:
    """The options of each encode, by its output, that make another encode."""
    left_out = _NOT_COMPARED if with_threads else _NOT_COMPARED | {"threads"}
    kind: dict[str, str | bool] = {"in a ladder": True} if spec.rungs else {}
    return {
        one.output: kind | {name: value for name, value in one.options.items() if name not in left_out} for one in spec.encodes()
    }


def _check_places(outputs: Iterable[str], spec: JobSpec, *, overwrite: bool) -> None:
    for output in map(Path, outputs):
        if output.parent.is_dir():
            check_output(output, Path(spec.source), overwrite=overwrite)
