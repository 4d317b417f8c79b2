"""Options of ``batch``, and the options of its jobs as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.batch.names import DEFAULT_TEMPLATE
from gpu_saliency.batch.outcome import DEFAULT_TRIES
from gpu_saliency.batch.place import Place, parse_shard
from gpu_saliency.cache.folder import parse_bytes
from gpu_saliency.cli.encode_call import SharedEncodeOptions
from gpu_saliency.cli.option_groups import changed_arguments, flags_of
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.numerals import is_whole

BATCH = "Batch"
AUTO = "auto"
_MOST_WORKERS = 1024
_MOST_GPUS = 64


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Where the outputs and the queue are."""

    out_dir: Annotated[Path, typer.Option("--out-dir", help="Folder for the outputs and the queue.", rich_help_panel=BATCH)]
    queue: Annotated[
        Path | None,
        typer.Option(
            help="Database of the queue; on a local disk where the outputs are on a network file system.",
            show_default="in the folder --out-dir",
            rich_help_panel=BATCH,
        ),
    ] = None
    shard: Annotated[
        str | None,
        typer.Option(help="Do only this share of the jobs, such as 3/16; with a queue of its own.", rich_help_panel=BATCH),
    ] = None

    def place(self) -> Place:
        """The files of the batch. Raises `UsageError`."""
        return Place.of(self.out_dir, parse_shard(self.shard), self.queue)


@dataclass(frozen=True, kw_only=True)
class JobLimits:
    """How many jobs run at once, and what each may take."""

    plan_workers: Annotated[
        str, typer.Option(help="Most jobs that are analysed at once, or auto: by GPUs or cores.", rich_help_panel=BATCH)
    ] = AUTO
    encode_workers: Annotated[
        str, typer.Option(help="Most jobs that are encoded at once, or auto: by cores and memory.", rich_help_panel=BATCH)
    ] = AUTO
    tries: Annotated[int, typer.Option(help="Tries of a job before it is put into quarantine.", rich_help_panel=BATCH)] = (
        DEFAULT_TRIES
    )
    job_timeout: Annotated[
        float, typer.Option(help="Most seconds for each stage of a job; 0 sets no limit.", rich_help_panel=BATCH)
    ] = 0.0
    job_memory: Annotated[
        str | None,
        typer.Option(help="Most memory of a job with its encoder, such as 4G.", show_default="none", rich_help_panel=BATCH),
    ] = None

    def __post_init__(self) -> None:
        """Raise `UsageError` for values out of range."""
        if not 1 <= self.tries <= 100:
            raise UsageError("out of range", setting="tries", value=self.tries, cure="1 to 100")
        if not 0 <= self.job_timeout < 1e9:
            raise UsageError("out of range", setting="job_timeout", value=self.job_timeout, cure="give seconds, or 0 for no limit")
        for name, text in (("plan_workers", self.plan_workers), ("encode_workers", self.encode_workers)):
            if text != AUTO and not is_whole(text, 1, _MOST_WORKERS):
                raise UsageError("out of range", setting=name, value=text, cure=f"{AUTO}, or 1 to {_MOST_WORKERS}")

    def workers(self) -> tuple[int | None, int | None]:
        """The numbers of plan and encode workers; ``None``: by the machine."""
        numbers = [None if text == AUTO else int(text) for text in (self.plan_workers, self.encode_workers)]
        return numbers[0], numbers[1]

    def memory(self) -> int | None:
        """Bytes of ``--job-memory``. Raises `UsageError`."""
        return None if self.job_memory is None else parse_bytes(self.job_memory, "job_memory")


@dataclass(frozen=True, kw_only=True)
class WorkOptions(JobLimits):
    """How the jobs are named, and how they run."""

    name: Annotated[
        str,
        typer.Option(
            help="Path of each output below --out-dir, with {name}, {ext}, {folder}, {number}, {rung} and options such as {crf}.",
            rich_help_panel=BATCH,
        ),
    ] = DEFAULT_TEMPLATE
    results: Annotated[
        Path | None,
        typer.Option(help="Append one JSON object for each finished job to this file.", show_default=False, rich_help_panel=BATCH),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """Workers on other machines."""

    ray: Annotated[
        str | None,
        typer.Option(
            help="Run the workers on a Ray cluster: HOST:PORT, auto (this machine's), or local to start one. Extra: fleet.",
            show_default=False,
            rich_help_panel=BATCH,
        ),
    ] = None
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            help="With --ray: GPUs that each plan worker holds, such as 0.5 for two on one; 0 analyses on cores.",
            show_default="1, without GPUs 0",
            rich_help_panel=BATCH,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Raise `UsageError` for values out of range."""
        gpus = self.gpus_per_worker
        if gpus is None:
            return
        if self.ray is None:
            raise UsageError(f"has no effect without {setting('ray')}", setting="gpus_per_worker", value=gpus, cure="leave it out")
        if not (0.01 <= gpus <= 1 or (gpus <= _MOST_GPUS and gpus == int(gpus) >= 0)):
            cure = f"a share from 0.01 to 1, a whole number up to {_MOST_GPUS}, or 0"
            raise UsageError("out of range", setting="gpus_per_worker", value=gpus, cure=cure)


def job_options(options: SharedEncodeOptions) -> dict[str, str | bool]:
    """The options that are not at their default, by flag without dashes. Raises `UsageError` for one that fits a single job."""
    if options.sidecar is not None:
        cure = "leave it out, or give it to each job of a list"
        raise UsageError("cannot be the same for all jobs", setting="sidecar", value=options.sidecar, cure=cure)
    changed = changed_arguments(options)
    return {flag.removeprefix("--"): True if value == "True" else value for flag, value in changed}


def job_option_names() -> frozenset[str]:
    """The names that `job_options` may have."""
    return frozenset(flag.removeprefix("--") for flag in flags_of(SharedEncodeOptions))
