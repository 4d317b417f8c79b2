"""The answers to requests about jobs: submit, list, show, change, cancel, retry, result and output."""

from __future__ import annotations

import os
import re

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from gpu_saliency.batch.queue.row import Job
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.serve.answers import RequestError, answer, problem_of, read_json, read_query, status_of
from gpu_saliency.serve.service import Service
from gpu_saliency.serve.shapes import MOST_NUMBER, Accepted, Change, JobPage, JobView, Listing, RefusedJob, asked_rungs
from gpu_saliency.serve.submission import Taken, Wanted


async def submit(service: Service, request: Request) -> Response:
    """Add one job, or each good one of a list."""
    if not service.accepts:
        raise RequestError(503, "ending", "the server ends and takes no more jobs", "send it again later", retry_after="30")
    given = await read_json(request, service.shapes.body)
    is_list = isinstance(given, list)
    wanted = [
        Wanted(one.source, one.output, service.table.texts(one.options), one.priority, asked_rungs(one.rungs))
        for one in (given if is_list else [given])
    ]
    taken = await service.store.write(lambda queue: service.desk.take(queue, wanted))
    for one in taken:
        if one.job is not None and one.is_new:
            service.tell(one.job)
    service.scheduler.wake()
    errors = [one.error for one in taken if one.error is not None]
    if errors and (not is_list or len(errors) == len(taken)):
        raise _all_refused(service, errors[0], taken)
    new = sum(one.is_new for one in taken)
    refused = [
        RefusedJob(number, problem_of(one.error, service.spell)) for number, one in enumerate(taken) if one.error is not None
    ]
    jobs = [JobView.of(one.job) for one in taken if one.job is not None]
    return answer(Accepted(jobs, new, refused), 201 if new else 200)


def _all_refused(service: Service, error: GpuSaliencyError, taken: list[Taken]) -> RequestError:
    problem = problem_of(error, service.spell)
    message = problem.message if len(taken) == 1 else f"all {len(taken)} jobs were refused, the first because {problem.message}"
    return RequestError(status_of(error), problem.kind, message, problem.cure)


async def list_jobs(service: Service, request: Request) -> Response:
    """Some jobs, the newest first."""
    given: Listing = read_query(request, Listing)
    jobs = await service.store.read(lambda queue: queue.page(given.state, given.limit + 1, given.before or None))
    shown = jobs[: given.limit]
    return answer(JobPage([JobView.of(job) for job in shown], shown[-1].id if len(jobs) > given.limit else None))


async def show_job(service: Service, request: Request) -> Response:
    """One job."""
    return answer(JobView.of(await _job(service, request)))


async def change_job(service: Service, request: Request) -> Response:
    """Give a job another priority."""
    change: Change = await read_json(request, Change)
    job = await _job(service, request)
    await service.store.write(lambda queue: queue.prioritise(job.id, change.priority))
    return await _changed(service, request)


async def cancel_job(service: Service, request: Request) -> Response:
    """Cancel a job that waits or runs; nothing of it stays."""
    job = await _job(service, request)
    if not await service.store.write(lambda queue: service.cancel(queue, job.id)):
        raise RequestError(409, "state", f"job {job.id} is {job.state}: there is nothing to cancel")
    service.scheduler.wake()
    return await _changed(service, request)


async def retry_job(service: Service, request: Request) -> Response:
    """Begin a job anew that ended badly or was cancelled."""
    job = await _job(service, request)
    if not await service.store.write(lambda queue: queue.retry([job.id])):
        raise RequestError(409, "state", f"job {job.id} is {job.state}: only a failed or cancelled one can be tried again")
    service.scheduler.wake()
    return await _changed(service, request)


async def show_result(service: Service, request: Request) -> Response:
    """What ``encode --json`` prints, or of a ladder ``ladder --json``."""
    job = await _job(service, request)
    if job.state != "done" or job.result is None:
        raise RequestError(409, "state", f"job {job.id} is {job.state}: it has no result")
    return answer(job.result)


async def send_output(service: Service, request: Request) -> Response:
    """The encoded file, or a range of it; of a ladder the first one."""
    return _send(service, request, await _job(service, request), 1)


async def send_one_of_the_outputs(service: Service, request: Request) -> Response:
    """An encoded file by its number in ``outputs``, or a range of it; also of a ladder that was not finished."""
    job = await _job(service, request)
    number = int(request.path_params["number"])
    if not 1 <= number <= len(job.outputs):
        raise RequestError(404, "no-output", f"job {job.id} has no output {number}", f"it has 1 to {len(job.outputs)}")
    return _send(service, request, job, number)


def _send(service: Service, request: Request, job: Job, number: int) -> Response:
    output = job.outputs[number - 1]
    if not output.done:
        which = f"output {number}" if job.spec.rungs else "output"
        raise RequestError(409, "state", f"job {job.id} is {job.state}: it has no {which}")
    return _Opened(service, output.path, _is_one_range(request.headers.get("range", "")))


async def _job(service: Service, request: Request) -> Job:
    number = int(request.path_params["id"])
    job = await service.store.read(lambda queue: queue.job(number)) if number <= MOST_NUMBER else None
    if job is None:
        raise RequestError(404, "no-job", f"there is no job {number}", "GET /api/jobs lists them")
    return job


async def _changed(service: Service, request: Request) -> Response:
    job = await _job(service, request)
    service.tell(job)
    return answer(JobView.of(job))


_RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))")


def _is_one_range(header: str) -> bool:
    """Whether ``header`` asks for one part; others, such as several parts, are answered with the whole file, as HTTP allows."""
    found = _RANGE.fullmatch(header.strip())
    if found is None:
        return False
    start, end, last = found.groups()
    return int(last) > 0 if last else not end or int(start) <= int(end)


class _Opened(FileResponse):
    """Sends a file that is opened and checked first: what is sent is what was checked."""

    def __init__(self, service: Service, path: str, takes_range: bool) -> None:
        self._takes_range = takes_range
        self._file = service.roots.open(path)
        name = os.path.basename(path).encode("utf-8", "replace").decode()  # noqa: PTH119
        try:
            super().__init__(
                f"/proc/self/fd/{self._file.fileno()}",
                filename=name,
                stat_result=os.fstat(self._file.fileno()),
                media_type="application/octet-stream",
            )
        except BaseException:
            self._file.close()
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range" or self._takes_range]
        try:
            await super().__call__({**scope, "headers": headers}, receive, send)
        finally:
            self._file.close()
