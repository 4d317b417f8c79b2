"""`Hub`: hands events to the clients that listen. Each has a bounded buffer, so that none can hold the service or its memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

KEPT = 512
"""Events that are kept for clients that connect again."""
BUFFERED = 256
"""Events that wait for one client. After more it gets the event ``reset`` in place of them all."""
MOST_CLIENTS = 128


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as bytes of an event stream."""

    number: int
    data: bytes

    @classmethod
    def of(cls, number: int, kind: str, facts: dict[str, Any]) -> Event:
        """Format an event; JSON has no line break, which would end a field."""
        return cls(number, f"id: {number}\nevent: {kind}\ndata: {json.dumps(facts)}\n\n".encode())


class Listener:
    """One client's buffer; used in the thread of the event loop only."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._has_some = asyncio.Event()
        self.is_closed = False

    def put(self, event: Event, number: int) -> None:
        """Buffer ``event``; ``number`` is that of the last event of all."""
        if len(self._waiting) >= BUFFERED:
            self._waiting.clear()
            event = Event.of(number, "reset", {"reason": "this client was too slow; load the list again"})
        self._waiting.append(event)
        self._has_some.set()

    def close(self) -> None:
        """Let `take` return what is left, and nothing after it."""
        self.is_closed = True
        self._has_some.set()

    async def take(self) -> bytes:
        """All events that wait, as soon as there are some; empty at the end."""
        await self._has_some.wait()
        data = b"".join(event.data for event in self._waiting)
        self._waiting.clear()
        if not self.is_closed:
            self._has_some.clear()
        return data


class Hub:
    """The events of the service and those who listen to them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._number = 0
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self.is_closed = False

    def start(self) -> None:
        """Deliver events in the event loop of this thread from now on."""
        self._loop = asyncio.get_running_loop()

    @property
    def count(self) -> int:
        """The number of clients that listen."""
        return len(self._listeners)

    def publish(self, kind: str, **facts: Any) -> None:
        """Send an event to all who listen; may be called in any thread, and waits for none."""
        with self._lock:
            self._number += 1
            event = Event.of(self._number, kind, facts)
            self._kept.append(event)
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._deliver, event)

    def _deliver(self, event: Event) -> None:
        for listener in self._listeners:
            listener.put(event, event.number)

    def join(self, last: int | None) -> Listener | None:
        """Listen from now on, or from the event after ``last``; ``None`` where `MOST_CLIENTS` do."""
        if len(self._listeners) >= MOST_CLIENTS or self.is_closed:
            return None
        listener = Listener()
        with self._lock:
            missed = [event for event in self._kept if last is not None and event.number > last]
            has_all = last is None or last == self._number or (missed and missed[0].number == last + 1)
            number = self._number
        if not has_all or len(missed) >= BUFFERED:
            missed = [Event.of(number, "reset", {"reason": "events were missed; load the list again"})]
        for event in missed:
            listener.put(event, number)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a client."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End all streams."""
        self.is_closed = True
        for listener in self._listeners:
            listener.close()
