"""Puts listed jobs into the queue: names their outputs, checks each, and leaves out what is there already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpu_saliency.batch.job import JobSpec, file_state
from gpu_saliency.batch.lists import Listed
from gpu_saliency.batch.names import fill_template
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.errors import GpuSaliencyError, OutputError, SourceError, SourceMissingError, UsageError, setting
from gpu_saliency.files import check_output, writing
from gpu_saliency.untrusted.regular import check_regular

Options = Mapping[str, str | bool]
_NOT_COMPARED = frozenset({"overwrite"})
"""Options that do not make another encode."""
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
        if not spec.in_shard(*rules.shard):
            done.elsewhere += 1
            continue
        if rules.skips_outputs and queue.find(_place_of(spec.source)) is not None:
            continue
        other = owners.setdefault(spec.place, one.where)
        if other != one.where:
            cure = f"give {setting('name')} more of {{folder}}, {{name}}, {{ext}} and {{number}}, or an output in the list"
            raise UsageError(f"{one.where} and {other} have the same output {spec.output}", cure=cure)
        try:
            if _is_new(queue, spec, one, rules, done):
                rules.check(spec)
                adding.append((spec, file_state(spec.source)))
                priorities[spec.place] = one.priority
            else:
                done.known += 1
        except GpuSaliencyError as error:
            done.refused.append((one.where, error))
    if adding:
        for folder in {Path(spec.output).parent for spec, _ in adding}:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        done.new = len(queue.add(adding, priorities))
    return done


def _place_of(path: str) -> str:
    return JobSpec("", path).place


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
    name = one.output or fill_template(rules.template, one.source, one.folder, number, options, rules.known)
    output = os.path.normpath(rules.out_dir / name)
    if os.path.relpath(output, rules.out_dir).startswith(".."):
        raise UsageError(f"{one.where}: its output is not below {rules.out_dir}", cure="give a path below the output folder")
    return JobSpec(os.path.normpath(one.source), output, options)


def _absolute(name: str, value: str | bool, base: Path) -> str | bool:
    """Paths in a list count from its folder, and hold wherever the batch is continued."""
    if name not in _PATHS or not isinstance(value, str) or (name == "ffmpeg-bin" and "/" not in value):
        return value
    return value if name == "saliency-model" and not (base / value).exists() else os.path.normpath(base / value)


def _is_new(queue: Queue, spec: JobSpec, one: Listed, rules: Submission, done: Submitted) -> bool:
    """Whether ``spec`` is to be added: it is not in the queue, or is to be done again. Raises `GpuSaliencyError` for a bad one."""
    overwrite = spec.options.get("overwrite") is True
    entry = queue.find(spec.place)
    try:
        check_regular(Path(spec.source))
    except OSError as error:
        if entry is not None:
            return False  # the queue knows it; its run will say
        kind = SourceMissingError if isinstance(error, FileNotFoundError) else SourceError
        raise kind(f"{spec.source}: {error.strerror}", cure="check the path") from None
    if entry is None:
        _check_place(spec, overwrite=overwrite)
        return True
    job, source_state, output_state = entry
    names_threads = "threads" in one.options or "threads" in rules.options
    same = job.spec.source == spec.source and _compared(job.spec, names_threads) == _compared(spec, names_threads)
    if job.state != "done":
        return not same and job.state != "running"
    now = file_state(spec.output)
    if same and now is None:
        done.notes.append(f"{spec.output}: is gone, and is made again")
        return True
    if same and (source_state == file_state(spec.source) or not overwrite):
        if source_state != file_state(spec.source):
            cure = f"give {setting('overwrite', True)} to encode it again"
            done.notes.append(f"{spec.source}: has changed since it was encoded; {cure}")
        elif now != output_state:
            done.notes.append(f"{spec.output}: was changed since; it is left as it is")
        return False
    if not overwrite:
        cure = f"give {setting('overwrite', True)}, or another {setting('name')}"
        raise OutputError(f"{spec.output}: was encoded with other options before", cure=cure)
    return True


def _compared(spec: JobSpec, with_threads: bool) -> dict[str, str | bool]:
    left_out = _NOT_COMPARED if with_threads else _NOT_COMPARED | {"threads"}
    return {name: value for name, value in spec.options.items() if name not in left_out}


def _check_place(spec: JobSpec, *, overwrite: bool) -> None:
    output = Path(spec.output)
    if output.parent.is_dir():
        check_output(output, Path(spec.source), overwrite=overwrite)
