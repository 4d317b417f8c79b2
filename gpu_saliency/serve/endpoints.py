"""The table of all requests that the service answers. The routes and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpu_saliency.serve import jobs_api, server_api
from gpu_saliency.serve.metrics import MEDIA_TYPE
from gpu_saliency.serve.service import Service
from gpu_saliency.serve.shapes import Accepted, Change, Health, JobPage, JobView, Listing, Readiness, Status

Handle = Callable[[Service, Request], Awaitable[Response]]
JOB_BODY = "job"
"""Stands for the body of a submission, whose type depends on the options of this version."""
_BODY_ERRORS = (400, 413, 415, 422)
_NO_JOB = (404,)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handle: Handle
    answers: Mapping[int, Any]
    """By status: the type of the body, or a media type."""
    errors: tuple[int, ...] = ()
    body: Any = None
    query: type[Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the request, with what they mean."""
    needs_token: bool = True

    @property
    def summary(self) -> str:
        """The first paragraph of the function's text."""
        return (self.handle.__doc__ or "").strip().replace("``", "`")


_JOB = "/api/jobs/{id}"
_FILE = {200: "application/octet-stream", 206: "application/octet-stream", 416: "text/plain"}
_RANGE = {"Range": "One part of the file, such as bytes=0-999; others are answered with the whole file."}
ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/jobs",
        jobs_api.submit,
        {200: Accepted, 201: Accepted},
        (*_BODY_ERRORS, 403, 409, 503, 507),
        body=JOB_BODY,
    ),
    Endpoint("GET", "/api/jobs", jobs_api.list_jobs, {200: JobPage}, (422, 503), query=Listing),
    Endpoint("GET", _JOB, jobs_api.show_job, {200: JobView}, (*_NO_JOB, 503)),
    Endpoint("PATCH", _JOB, jobs_api.change_job, {200: JobView}, (*_NO_JOB, *_BODY_ERRORS, 503), body=Change),
    Endpoint("POST", f"{_JOB}/cancel", jobs_api.cancel_job, {200: JobView}, (*_NO_JOB, 409, 503)),
    Endpoint("POST", f"{_JOB}/retry", jobs_api.retry_job, {200: JobView}, (*_NO_JOB, 409, 503)),
    Endpoint("GET", f"{_JOB}/result", jobs_api.show_result, {200: dict[str, Any]}, (*_NO_JOB, 409, 503)),
    Endpoint("GET", f"{_JOB}/output", jobs_api.send_output, _FILE, (*_NO_JOB, 403, 409, 503), headers=_RANGE),
    Endpoint(
        "GET", f"{_JOB}/outputs/{{number}}", jobs_api.send_one_of_the_outputs, _FILE, (*_NO_JOB, 403, 409, 503), headers=_RANGE
    ),
    Endpoint(
        "GET",
        "/api/events",
        server_api.events,
        {200: "text/event-stream"},
        (503,),
        headers={"Last-Event-ID": "The last event that was received; those after it come first."},
    ),
    Endpoint("GET", "/api/status", server_api.status, {200: Status}, (503,)),
    Endpoint("GET", "/metrics", server_api.metrics, {200: MEDIA_TYPE}),
    Endpoint("GET", "/healthz", server_api.healthz, {200: Health}, needs_token=False),
    Endpoint("GET", "/readyz", server_api.readyz, {200: Readiness, 503: Readiness}, needs_token=False),
)
