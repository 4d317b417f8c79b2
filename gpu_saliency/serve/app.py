"""The ASGI app: routes from the table of endpoints, the page's files, and the checks before each request."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.preview.web.guard import Guard
from gpu_saliency.serve.answers import RequestError, answer, problem_of, refusal, status_of
from gpu_saliency.serve.endpoints import ENDPOINTS, Endpoint
from gpu_saliency.serve.openapi import openapi_document
from gpu_saliency.serve.service import Service

PAGE = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/app.js": ("app.js", "text/javascript"),
    "/api.js": ("api.js", "text/javascript"),
    "/rows.js": ("rows.js", "text/javascript"),
}
"""The files of the page, which hold no data and need no token: file and media type by path."""


def make_app(service: Service, hosts: frozenset[str] | None) -> ASGIApp:
    """Make the app; ``hosts`` are the accepted values of the Host header (`own_hosts`)."""
    routes: list[BaseRoute] = [Route(path, _file(*entry)) for path, entry in PAGE.items()]
    document = openapi_document(service.shapes)

    async def openapi(_: Request) -> Response:
        return answer(document)

    routes.append(Route("/openapi.json", openapi))
    by_path: dict[str, dict[str, Endpoint]] = defaultdict(dict)
    for one in ENDPOINTS:
        by_path[one.path][one.method] = one
    # One route for each path, so that a wrong method is answered with all the right ones.
    routes += [_route(service, path, methods) for path, methods in by_path.items()]
    handlers: dict[Any, Any] = {HTTPException: _http_error}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), hosts)


def _route(service: Service, path: str, methods: dict[str, Endpoint]) -> Route:
    async def handle(request: Request) -> Response:
        one = methods["GET" if request.method == "HEAD" else request.method]
        try:
            if one.needs_token and not service.access.allows(request.headers.get("authorization")):
                cure = "send Authorization: Bearer TOKEN"
                raise RequestError(401, "token", "the token is missing or wrong", cure, www_authenticate="Bearer")
            return await one.handle(service, request)
        except RequestError as error:
            return refusal(error)
        except GpuSaliencyError as error:
            problem = problem_of(error, service.spell)
            return refusal(RequestError(status_of(error), problem.kind, problem.message, problem.cure))

    return Route(re.sub(r"{(\w+)}", r"{\1:int}", path), handle, methods=list(methods))


async def _http_error(_: Request, error: HTTPException) -> Response:
    headers = {} if error.headers is None else {name.replace("-", "_").lower(): value for name, value in error.headers.items()}
    return refusal(RequestError(error.status_code, "http", error.detail, **headers))


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("gpu_saliency.serve").joinpath("page", name).read_bytes()

    async def answer_file(_: Request) -> Response:
        return Response(content, media_type=kind)

    return answer_file
