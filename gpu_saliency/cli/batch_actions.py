"""``batch status``, ``retry`` and ``cancel``: they use the queue beside a run, or without one."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_saliency.batch.journal import move_journal, with_journal
from gpu_saliency.batch.place import Place
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import BAD, STATES, Job
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.cli.rows import format_rows
from gpu_saliency.cli.show_encode import counted
from gpu_saliency.errors import UsageError, setting

_SHOWN = 20


def show_status(place: Place, report: RunOptions) -> None:
    """Print the numbers of jobs by state, those that run, and those that failed."""
    with Queue(place.queue, create=False) as queue:
        counts, bad = queue.counts(), queue.jobs(BAD)
        running = [with_journal(job, place.maps) for job in queue.jobs(["running"])]
    is_alive = any(job.owner is not None and job.owner.is_alive for job in running)
    result = {
        "queue": str(place.queue),
        "counts": {state: counts.get(state, 0) for state in STATES},
        "is_running": is_alive,
        "running": [job.to_json(result=False) for job in running],
        "bad": [job.to_json(result=False) for job in bad],
    }
    rows = [("queue", str(place.queue)), ("jobs", ", ".join(f"{counts.get(state, 0)} {state}" for state in STATES))]
    if running and not is_alive:
        rows.append(("run", "has ended without finishing its jobs: the same command goes on with them"))
    rows += [("running", f"{job.id} {job.stage} {job.spec.source}{_outputs(job)}") for job in running[:_SHOWN]]
    rows += [(job.state, _reason(job)) for job in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        rows.append(("more", f"{len(bad) - _SHOWN} with --json"))
    report.show(result, format_rows(rows))


def _reason(job: Job) -> str:
    error = job.error or {}
    cure = f" ({error['cure']})" if error.get("cure") else ""
    return f"{job.id} {job.spec.source}{_outputs(job)}: {error.get('message')}{cure}"


def _outputs(job: Job) -> str:
    """Of a ladder, how many outputs are finished."""
    made = sum(one.done for one in job.outputs)
    return f" ({made} of {counted(len(job.outputs), 'output')} finished)" if job.spec.rungs else ""


def retry_jobs(place: Place, words: Sequence[str], report: RunOptions) -> None:
    """Queue jobs again that failed, or the named ones that failed or were cancelled."""
    with Queue(place.queue, create=False) as queue:
        chosen = queue.retry(_matched(queue, words))
    text = f"{counted(len(chosen), 'job')} queued again; a run that goes on takes them, else run the same command again"
    report.show({"queue": str(place.queue), "jobs": chosen}, text)


def cancel_jobs(place: Place, words: Sequence[str], report: RunOptions, *, everything: bool) -> None:
    """Cancel the named jobs, or ``everything`` that is queued or running."""
    if bool(words) == everything:
        raise UsageError("cancel needs jobs", cure=f"give numbers or files, or {setting('all', True)}")
    with Queue(place.queue, create=False) as queue:
        chosen = queue.cancel(_matched(queue, words))
        for number in chosen:
            if (job := queue.job(number)) is not None and job.state == "cancelled":
                move_journal(queue, job, place.maps)
    report.show({"queue": str(place.queue), "jobs": chosen}, f"{counted(len(chosen), 'job')} cancelled")


def _matched(queue: Queue, words: Sequence[str]) -> list[int]:
    """The jobs that ``words`` name. Raises `UsageError` for a word that names none."""
    jobs: list[int] = []
    for word in words:
        found = queue.match(word)
        if not found:
            raise UsageError(f"{word}: no such job", cure="give a number that status shows, a source or an output")
        jobs += found
    return jobs
