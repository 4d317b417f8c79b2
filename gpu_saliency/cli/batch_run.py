"""``batch run``: fills the queue, runs it with the local pool, and reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from gpu_saliency.batch.lists import JobList, read_jobs
from gpu_saliency.batch.local.machine import Sizes
from gpu_saliency.batch.names import check_template
from gpu_saliency.batch.place import parse_shard
from gpu_saliency.batch.queue.owner import only_run
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import STATES
from gpu_saliency.batch.run import BatchRun, RunSettings
from gpu_saliency.batch.submit import Submission, Submitted, submit
from gpu_saliency.cli.batch_engine import local_engine, ray_engine, require_ray
from gpu_saliency.cli.batch_options import FleetOptions, PlaceOptions, WorkOptions, job_option_names, job_options
from gpu_saliency.cli.batch_view import BatchView
from gpu_saliency.cli.batch_worker import check_job
from gpu_saliency.cli.encode_call import SharedEncodeOptions
from gpu_saliency.cli.ladder_options import LadderOptions
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.cli.reporter import CliReporter
from gpu_saliency.errors import Interrupted, JobsFailedError, UsageError
from gpu_saliency.files import writing
from gpu_saliency.process import signals

_LOOKED_AT = 1000
"""Jobs of which the folders are shown to the nodes of a cluster, where no list is given."""


def run_batch(
    words: Sequence[str],
    where: PlaceOptions,
    work: WorkOptions,
    fleet: FleetOptions,
    ladder: LadderOptions,
    options: SharedEncodeOptions,
    report: RunOptions,
) -> None:
    """Add the jobs that ``words`` name to the queue and work until it is empty.

    Without ``words`` the queue of an earlier call goes on. Raises `JobsFailedError` if jobs failed, were refused or are in
    quarantine, and `Interrupted` if a signal left some undone.
    """
    if len(words) > 1:
        raise UsageError(f"{words[1]}: only one JOBS can be given", cure="put a pattern in quotes, or give a folder or a list")
    check_template(work.name)
    place, reporter = where.place(), report.reporter()
    shared, rungs = job_options(options), ladder.asked()
    listed = _without_outputs(read_jobs(words[0]), Path(words[0]).absolute(), where.out_dir.absolute()) if words else JobList(())
    if not words and not place.queue.exists():
        raise UsageError("no jobs are given, and there are none from before", cure="give a folder, a pattern or a list of clips")
    if fleet.ray is not None:
        require_ray(fleet.ray)
    place.make()
    with ExitStack() as stack:
        stack.enter_context(only_run(place.lock))
        queue = stack.enter_context(Queue(place.queue))
        results = _open_results(work.results, stack)
        if fleet.ray is None:
            engine, sizes = local_engine(work, report, [{**shared, **one.options} for one in listed.jobs] or [shared])
        else:
            sources = [one.source for one in listed.jobs] or [Path(job.spec.source) for job in queue.jobs(["queued"], _LOOKED_AT)]
            engine, sizes = stack.enter_context(ray_engine(fleet, work, report, where.out_dir.absolute(), place, sources))
        stack.callback(engine.close)
        view = BatchView(reporter, json_lines=report.as_json, results=results)
        settings = RunSettings(place.maps, work.tries, ahead=max(2, 2 * sizes.encode), is_shared=fleet.ray is not None)
        run = BatchRun(queue, engine, settings, view)
        if taken := run.take_back():
            reporter.say(f"{taken} jobs of a run that ended are taken back")
        rules = Submission(
            out_dir=where.out_dir.absolute(),
            template=work.name,
            options=shared,
            known=job_option_names(),
            check=check_job,
            rungs=rungs,
            threads=sizes.threads,
            shard=parse_shard(where.shard),
        )
        submitted = submit(queue, listed.jobs, rules)
        _tell(submitted, listed, queue.counts(), sizes, reporter)
        for one, error in submitted.refused:
            view.refused(one, error)
        with view, signals.routed(run.drain, signals.EXIT_CODE, patient=True):
            run.run()
        counts = queue.counts()
        if report.as_json is False:
            print(view.summary(counts))
    left = counts.get("queued", 0)
    if run.is_draining and left:
        raise Interrupted(f"stopped; {left} jobs are left", cure="run the same command again to go on")
    bad = counts.get("failed", 0) + counts.get("quarantined", 0)
    refused = len(submitted.refused)
    if bad or refused:
        parts = [f"{bad} of {sum(counts.get(state, 0) for state in STATES)} jobs failed"] if bad else []
        parts += [f"{refused} listed jobs were refused"] if refused else []
        raise JobsFailedError(", ".join(parts), cure="see gpu-saliency batch status, and batch retry")


def _without_outputs(found: JobList, given: Path, out_dir: Path) -> JobList:
    """``found`` without what lies in the output folder, if that is below ``given``, the folder of the sources."""
    is_below = given in out_dir.parents
    kept = tuple(one for one in found.jobs if not (is_below and out_dir in one.source.parents))
    return JobList(kept, found.passed_over)


def _open_results(path: Path | None, stack: ExitStack) -> BinaryIO | None:
    if path is None:
        return None
    with writing(path, cure="give another path"):
        return stack.enter_context(cast(BinaryIO, path.open("ab", buffering=0)))


def _tell(submitted: Submitted, listed: JobList, counts: dict[str, int], sizes: Sizes, reporter: CliReporter) -> None:
    text = f"{submitted.new} new jobs, {submitted.known} known, {counts.get('queued', 0)} to do"
    if submitted.elsewhere:
        text += f", {submitted.elsewhere} of other shards"
    if listed.passed_over:
        text += f"; {listed.passed_over} files without the suffix of a clip are passed over"
    reporter.say(f"{text}; {sizes.plan} plan and {sizes.encode} encode workers, {sizes.threads} threads a job")
    for note in submitted.notes:
        reporter.warn(reporter.spelled(note))
