"""Limits of connections: their number, the time for a request, and the time for which a client may not read its answer."""

from __future__ import annotations

import asyncio
from typing import Any

from gpu_saliency.preview.web.limits import BoundedHttp

MAX_CONNECTIONS = 512
"""Most connections at once. One more ends the oldest that has sent no whole request."""
REQUEST_SECONDS = 30.0
"""Longest time from the start of a connection, or the end of an answer, to the end of the next request."""
STUCK_SECONDS = 30.0
"""Longest time for which a client may leave its answer unread."""


class LimitedClient(BoundedHttp):
    """An HTTP connection that ends when the client is too slow."""

    most = MAX_CONNECTIONS
    _waiting: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    @property
    def may_end(self) -> bool:
        """Whether no whole request waits for its answer."""
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started)

    def _expect_request(self) -> None:
        self._cancel("_waiting")
        self._waiting = self.loop.call_later(REQUEST_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        if self.may_end:
            self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._cancel("_stuck")
        self._stuck = self.loop.call_later(STUCK_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._cancel("_stuck")
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel("_waiting")
        self._cancel("_stuck")
        super().connection_lost(exc)

    def _cancel(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
        setattr(self, name, None)
