"""Reads the bodies of requests with limits, and answers in JSON; each error has one form and a fitting status."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gpu_saliency.errors import DiskLowError, GpuSaliencyError, OutputError, OutsideError, QueueError, Spelling
from gpu_saliency.serve.shapes import Problem, Refusal
from gpu_saliency.untrusted.strict_json import parse_json

MOST_BYTES = 1 << 20
"""Largest body of a request."""


class RequestError(Exception):
    """A request that cannot be served, with the status of the answer."""

    def __init__(self, status: int, kind: str, message: str, cure: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.problem, self.headers = status, Problem(kind, message, cure), headers


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``content``, of JSON types or structs, as a response in ASCII, also for names that are not UTF-8."""
    text = json.dumps(msgspec.to_builtins(content))
    return Response(text, status, headers, media_type="application/json")


def refusal(error: RequestError) -> Response:
    """The answer to a request that is refused."""
    return answer(Refusal(error.problem), error.status, {name.replace("_", "-"): value for name, value in error.headers.items()})


def problem_of(error: GpuSaliencyError, spell: Spelling) -> Problem:
    """The error as clients see it."""
    message, cure = error.worded(spell)
    return Problem("outside" if isinstance(error, OutsideError) else error.kind, message, cure)


def status_of(error: GpuSaliencyError) -> int:
    """The status that fits an error of the library."""
    if isinstance(error, OutsideError):
        return 403
    if isinstance(error, DiskLowError):
        return 507
    if isinstance(error, QueueError):
        return 503
    return 409 if isinstance(error, OutputError) else 422


async def read_json(request: Request, shape: Any) -> Any:
    """The body of ``request`` as ``shape``.

    Raises `RequestError`: 413 for a large body, 415 for another type, 400 for no JSON, 422 for another shape.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, "content-type", "the body is not application/json", "send Content-Type: application/json")
    data = bytearray()
    declared = request.headers.get("content-length", "0")
    too_large = RequestError(413, "too-large", f"the body has more than {MOST_BYTES:,} bytes", "send fewer jobs at once")
    if declared.isdigit() and (len(declared) > 12 or int(declared) > MOST_BYTES):
        raise too_large
    try:
        async for piece in request.stream():
            data += piece
            if len(data) > MOST_BYTES:
                raise too_large
    except ClientDisconnect:
        raise RequestError(400, "disconnected", "the client has gone") from None
    try:
        found = parse_json(bytes(data))
    except ValueError as error:
        raise RequestError(400, "json", f"the body is not JSON: {error}") from None
    return _converted(found, shape, strict=True)


def read_query(request: Request, shape: type[msgspec.Struct]) -> Any:
    """The query of ``request`` as ``shape``, of which lists are given by a name several times. Raises `RequestError`, 422."""
    given: dict[str, Any] = {}
    lists = {field.encode_name for field in msgspec.structs.fields(shape) if field.default_factory is not msgspec.NODEFAULT}
    for name, value in request.query_params.multi_items():
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise RequestError(422, "usage", f"{name} is given twice")
        else:
            given[name] = value
    return _converted(given, shape, strict=False)


def _converted(found: Any, shape: Any, *, strict: bool) -> Any:
    try:
        return msgspec.convert(found, shape, strict=strict)
    except msgspec.ValidationError as error:
        raise RequestError(422, "usage", str(error), "see /openapi.json") from None
