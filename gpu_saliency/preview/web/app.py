"""The routes of the web server: a few fixed files and one WebSocket. Requests for other files get 404."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from gpu_saliency.preview.screen import Screen
from gpu_saliency.preview.web.guard import Guard
from gpu_saliency.preview.web.shared import Shared
from gpu_saliency.preview.web.viewer import Viewer

MAX_VIEWERS = 16
TOO_MANY = 4001
"""WebSocket close code for a viewer beyond `MAX_VIEWERS`."""
_MODULES = (
    *("app", "compare", "connection", "controls", "estimate", "fields", "keys", "layers"),
    *("picture", "playback", "save", "scrub", "sound", "state", "timeline"),
)
_SCRIPTS = tuple(f"{name}.js" for name in _MODULES)
FILES = {
    "": ("index.html", "text/html"),
    "style.css": ("style.css", "text/css"),
    **{name: (name, "text/javascript") for name in _SCRIPTS},
}
"""The files of the page: file name and media type by URL path."""


def make_app(shared: Shared, new_screen: Callable[[], Screen[bytes]], hosts: frozenset[str] | None, token: str) -> ASGIApp:
    """Make the ASGI app that serves the preview below ``/``, or below ``/TOKEN/`` if ``token`` is not empty.

    Each viewer gets its own screen from ``new_screen``. ``hosts`` are the accepted Host headers (see `own_hosts`).
    """

    async def viewer(socket: WebSocket) -> None:
        if shared.viewers >= MAX_VIEWERS:
            await socket.accept()
            await socket.close(TOO_MANY, f"the limit of {MAX_VIEWERS} viewers is reached")
            return
        shared.viewers += 1
        try:
            await Viewer(socket, shared, new_screen()).run()
        except asyncio.CancelledError:
            # At shutdown uvicorn cancels viewers that are slow to disconnect; if this propagated, it would log a traceback.
            return
        finally:
            shared.viewers -= 1

    routes: list[BaseRoute] = [Route(f"/{path}", _file(*entry)) for path, entry in FILES.items()]
    routes.append(WebSocketRoute("/viewer", viewer))
    handlers = {404: _nothing}
    app = Starlette(routes=[Mount(f"/{token}", routes=routes)] if token else routes, exception_handlers=handlers)
    return Guard(app, hosts)


async def _nothing(_: Request, __: Exception) -> Response:
    """The page of an address that shows nothing; it does not say what is served, for those who lack the token."""
    text = "<!doctype html><html lang=en><title>Nothing here</title><h1>Nothing here</h1>"
    text += "<p>Open the whole address that the program has printed in its terminal; it may end in a long key.</p>"
    return Response(text, 404, media_type="text/html")


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("gpu_saliency.preview.web").joinpath("page", name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
