"""The engines of ``batch run``: the local pool, or a Ray cluster with ``--ray``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gpu_saliency.batch.engine import Engine
from gpu_saliency.batch.local.machine import Sizes
from gpu_saliency.batch.local.pool import Limits, LocalPool
from gpu_saliency.batch.place import Place
from gpu_saliency.cli.batch_options import FleetOptions, WorkOptions
from gpu_saliency.cli.batch_worker import MODULE
from gpu_saliency.cli.options import RunOptions


def _limits(work: WorkOptions) -> Limits:
    return Limits(work.job_timeout or None, work.memory())


def local_engine(work: WorkOptions, report: RunOptions, jobs: Sequence[Mapping[str, object]]) -> tuple[Engine, Sizes]:
    """Worker processes of this machine, for jobs with these options."""
    sizes = Sizes.suited(*work.workers(), jobs)
    spreads_gpus = not any("gpu" in options for options in jobs)
    workers = {"plan": sizes.plan, "encode": sizes.encode}
    return LocalPool(MODULE, [str(report.stall_timeout)], workers, _limits(work), spreads_gpus=spreads_gpus), sizes


def require_ray(address: str) -> None:
    """Raise `ToolMissingError` or `UsageError` where Ray is not installed or does not answer, before anything is written."""
    from gpu_saliency.fleet.cluster import check_ray

    check_ray(address)


@contextlib.contextmanager
def ray_engine(
    fleet: FleetOptions, work: WorkOptions, report: RunOptions, out_dir: Path, place: Place, sources: Sequence[Path]
) -> Iterator[tuple[Engine, Sizes]]:
    """Workers on the nodes of a Ray cluster, to which this process is connected during the block.

    Raises `ToolMissingError` or `UsageError` if Ray, the cluster or one of its nodes cannot be used.
    """
    # Imported here: these commands need no Ray otherwise.
    from gpu_saliency.fleet.checks import NodeChecks, sample_sources
    from gpu_saliency.fleet.cluster import LOCAL, open_cluster
    from gpu_saliency.fleet.disks import check_local
    from gpu_saliency.fleet.engine import FleetEngine, Wishes
    from gpu_saliency.fleet.seats import suited_threads
    from gpu_saliency.fleet.worker import Program

    assert fleet.ray is not None
    if fleet.ray != LOCAL:
        check_local(place.queue)
    with open_cluster(fleet.ray) as cluster:
        plan, encode = work.workers()
        gpus = 1.0 if fleet.gpus_per_worker is None else fleet.gpus_per_worker
        checks = NodeChecks(cluster, out_dir, place.maps.parent, sample_sources(sources))
        program = Program(MODULE, [str(report.stall_timeout)], _limits(work))
        engine = FleetEngine(cluster, checks, program, Wishes(plan, encode, gpus), report.reporter())
        stages = [seat.stage for seat in engine.seats]
        yield engine, Sizes(stages.count("plan"), stages.count("encode"), suited_threads(cluster.nodes()))
