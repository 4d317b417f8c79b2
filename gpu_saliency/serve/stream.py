"""`EventStream`: the answer that sends a client events until it goes, or the server ends."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gpu_saliency.serve.hub import Hub, Listener

BEAT_SECONDS = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection and a lost one is noticed."""


class EventStream(Response):
    """Server-sent events from a hub."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, listener: Listener) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._hub, self._listener = hub, listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the interface
        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        leaving: asyncio.Future[None] = asyncio.ensure_future(gone())
        taking: asyncio.Future[bytes] | None = None
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b": events of gpu-saliency\n\n", "more_body": True})
            while not leaving.done():
                taking = taking or asyncio.ensure_future(self._listener.take())
                both: set[asyncio.Future[Any]] = {leaving, taking}
                await asyncio.wait(both, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if leaving.done():
                    break
                data = b": \n\n"
                if taking.done():
                    data, taking = taking.result(), None
                if data:
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                if self._listener.is_closed and taking is None:
                    break
            if not leaving.done():
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._hub.leave(self._listener)
            leaving.cancel()
            if taking is not None:
                taking.cancel()
