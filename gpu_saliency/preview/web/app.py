"""The routes: three fixed files and one WebSocket. Nothing that a browser says names a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from gpu_saliency.preview.web.guard import Guard
from gpu_saliency.preview.web.viewer import Screen, Shared, Viewer

MAX_VIEWERS = 16
TOO_MANY = 4001
"""Close code that tells the page so."""
_PAGE = {"": ("index.html", "text/html"), "app.js": ("app.js", "text/javascript"), "style.css": ("style.css", "text/css")}


def make_app(shared: Shared, new_screen: Callable[[], Screen], hosts: frozenset[str] | None, token: str) -> ASGIApp:
    """The preview below ``/``, or below ``/TOKEN/`` where there is one; ``new_screen`` makes that of each viewer."""

    async def viewer(socket: WebSocket) -> None:
        if shared.viewers >= MAX_VIEWERS:
            await socket.accept()
            await socket.close(TOO_MANY, f"{MAX_VIEWERS} viewers are looking already")
            return
        shared.viewers += 1
        try:
            await Viewer(socket, shared, new_screen()).run()
        finally:
            shared.viewers -= 1

    routes: list[BaseRoute] = [Route(f"/{path}", _file(*entry)) for path, entry in _PAGE.items()]
    routes.append(WebSocketRoute("/viewer", viewer))
    return Guard(Starlette(routes=[Mount(f"/{token}", routes=routes)] if token else routes), hosts)


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("gpu_saliency.preview.web").joinpath("page", name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
