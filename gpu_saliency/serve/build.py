"""Puts the parts of a service together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.batch.engine import Engine
from gpu_saliency.batch.place import Place
from gpu_saliency.batch.run import RunSettings
from gpu_saliency.batch.submit import Submission
from gpu_saliency.errors import Spelling, UsageError
from gpu_saliency.progress import Reporter
from gpu_saliency.serve.access import Access
from gpu_saliency.serve.disk import Disk
from gpu_saliency.serve.gate import Gate
from gpu_saliency.serve.hub import Hub
from gpu_saliency.serve.metrics import Metrics
from gpu_saliency.serve.options import OptionTable
from gpu_saliency.serve.progress import Progress
from gpu_saliency.serve.roots import Roots
from gpu_saliency.serve.scheduler import Scheduler
from gpu_saliency.serve.service import Service
from gpu_saliency.serve.store import Store
from gpu_saliency.serve.submission import Desk, Taken
from gpu_saliency.serve.watch import Watched, Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a service is made of."""

    roots: Roots
    place: Place
    least_free: int
    """Bytes."""
    token: str | None
    table: OptionTable
    rules: Submission
    settings: RunSettings
    default_output: Callable[[Path, str], Path]
    make_engine: Callable[[], Engine]
    spell_flag: Spelling
    """For errors of jobs, as ``encode`` words them."""
    spell_field: Spelling
    """For errors of requests."""


def make_service(setup: Setup, reporter: Reporter) -> Service:
    """Make all parts; nothing runs yet."""
    hub, disk = Hub(), Disk(setup.place.queue.parent, setup.roots.folders, setup.least_free)
    progress = Progress(hub, reporter)
    desk = Desk(setup.roots, disk, setup.table, setup.rules, setup.default_output, reporter.warn)

    def make_engine() -> Gate:
        return Gate(setup.make_engine(), desk.check_again, lambda: disk.admits, progress.measured, setup.spell_flag)

    scheduler = Scheduler(setup.place.queue, setup.settings, make_engine, progress, reporter)
    return Service(
        access=Access(setup.token),
        roots=setup.roots,
        disk=disk,
        table=setup.table,
        desk=desk,
        store=Store(setup.place.queue),
        hub=hub,
        progress=progress,
        metrics=Metrics(progress, hub, disk, lambda: scheduler.is_working),
        scheduler=scheduler,
        maps=setup.place.maps,
        spell=setup.spell_field,
    )


def make_watcher(service: Service, watched: Watched, path: Path, reporter: Reporter) -> Watcher:
    """Watch folders for ``service``, with the queue ``path``. Raises `UsageError` for one outside of the allowed folders."""
    for name, folder in (*(("watch", one) for one in watched.folders), ("watch_out", watched.out_dir)):
        found = service.roots.resolve(str(folder)) if str(folder) not in service.roots.folders else str(folder)
        if name == "watch" and not Path(found).is_dir():
            raise UsageError("is not a folder", setting="watch", value=folder, cure="give a folder that exists")

    def on_taken(taken: Taken) -> None:
        if taken.job is not None:
            service.tell(taken.job)
        service.scheduler.wake()

    return Watcher(watched, service.desk, path, on_taken, reporter)
