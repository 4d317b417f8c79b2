"""The answers to requests about the server: health, readiness, status, metrics, events, and its own description."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gpu_saliency._version import __version__
from gpu_saliency.batch.queue.row import STATES
from gpu_saliency.serve.answers import RequestError, answer
from gpu_saliency.serve.metrics import MEDIA_TYPE
from gpu_saliency.serve.service import Service
from gpu_saliency.serve.shapes import Health, Readiness, Status
from gpu_saliency.serve.stream import EventStream


async def healthz(_: Service, __: Request) -> Response:
    """Whether the server answers."""
    return answer(Health("ok"))


async def readyz(service: Service, _: Request) -> Response:
    """Whether it takes and runs jobs: the queue can be written, the workers are alive, the disk has space."""
    checks = await service.checks()
    is_ready = all(checks.values())
    return answer(Readiness(is_ready, checks), 200 if is_ready else 503)


async def status(service: Service, _: Request) -> Response:
    """The numbers of jobs by state, and what runs."""
    counts = await service.store.read(lambda queue: queue.counts())
    return answer(
        Status(
            version=__version__,
            accepting=service.accepts,
            counts={state: counts.get(state, 0) for state in STATES},
            running=service.progress.running(),
            frames_per_second=round(service.progress.frames_per_second(), 2),
            free_bytes=service.disk.free(),
            roots=list(service.roots.folders),
        )
    )


async def metrics(service: Service, _: Request) -> Response:
    """Figures for Prometheus."""
    return Response(service.metrics.text(), media_type=MEDIA_TYPE)


async def events(service: Service, request: Request) -> Response:
    """Server-sent events: what happens from now on, or from the event after ``Last-Event-ID``."""
    last = request.headers.get("last-event-id", "")
    listener = service.hub.join(int(last) if last.isascii() and last.isdigit() and len(last) < 16 else None)
    if listener is None:
        raise RequestError(503, "too-many", "too many clients listen to events", "try again later", retry_after="10")
    return EventStream(service.hub, listener)
