"""Limits of the web server: number and age of connections, size of requests, and one line for each error of the server."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from gpu_saliency.progress import Reporter

MAX_CONNECTIONS = 128
"""Most connections at once. One more ends the oldest that is no viewer, so that silent clients cannot lock the page out."""
HTTP_SECONDS = 30.0
"""Longest life of a connection that is no viewer; the page's files take milliseconds."""
MAX_HEADER_BYTES = 16384
"""Largest request line and headers together."""
LONGEST_MESSAGE = 1 << 16
"""Longest message in bytes that is accepted from a page."""
_MAX_LINES = 20


class BoundedHttp(H11Protocol):
    """Uvicorn's HTTP connection; when there are too many, the oldest that `may_end` is ended."""

    most = MAX_CONNECTIONS
    """Most connections at once."""
    _since = 0.0

    @property
    def may_end(self) -> bool:
        """Whether this connection may be ended to make room for another."""
        return True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.most:
            others = [one for one in self.connections if isinstance(one, BoundedHttp) and one.may_end]
            if not others:
                transport.abort()
            else:
                oldest = min(others, key=lambda one: one._since)
                self.connections.discard(oldest)  # at once: it is lost only in the next round of the event loop
                oldest.transport.abort()
        super().connection_made(transport)
        self._since = self.loop.time()


class LimitedHttp(BoundedHttp):
    """A connection with a limited life; it ends early when there are too many."""

    _age: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._age = self.loop.call_later(HTTP_SECONDS, transport.abort)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._end_limit()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_limit()
        super().connection_lost(exc)

    def _end_limit(self) -> None:
        if self._age is not None:
            self._age.cancel()
            self._age = None


class OneLine(logging.Handler):
    """Reports each error that uvicorn or asyncio logs as one line, without a traceback; after twenty it reports no more."""

    def __init__(self, reporter: Reporter, name: str = "preview server") -> None:
        super().__init__(logging.ERROR)
        self._reporter, self._name = reporter, name
        self._lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self._lines += 1
        if self._lines > _MAX_LINES + 1:
            return
        if self._lines == _MAX_LINES + 1:
            self._reporter.error(f"{self._name}: further errors are not shown")
            return
        words = record.getMessage().strip().splitlines()[:1]
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            words.append(f"{type(error).__name__}: {error}".splitlines()[0][:300])
        self._reporter.error(f"{self._name}: " + ": ".join(words))

    def attach(self) -> None:
        """Take over the logs of the server."""
        for name in ("uvicorn", "asyncio"):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [self], False
            logger.setLevel(logging.ERROR)
