"""`Store`: the queue for the event loop. One thread reads and another one writes, so that the loop never waits for the disk."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.errors import QueueError

Found = TypeVar("Found")
_CHECK_SECONDS = 2.0
"""Seconds for which an answer of `Store.is_writable` holds; each check is a flush of the disk."""
_PATIENCE = 5.0
"""Seconds after which a database that another process holds counts as not writable."""


class Store:
    """The queue of one database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._reading = ThreadPoolExecutor(1, "queue-read")
        self._writing = ThreadPoolExecutor(1, "queue-write")
        self._checked, self._writable = float("-inf"), False

    async def read(self, act: Callable[[Queue], Found]) -> Found:
        """What ``act`` returns of the queue. Raises `QueueError`."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._call, act)

    async def write(self, act: Callable[[Queue], Found]) -> Found:
        """Let ``act`` change the queue; one at a time. Raises `QueueError`."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._call, act)

    def _call(self, act: Callable[[Queue], Found]) -> Found:
        if not hasattr(self._local, "queue"):
            self._local.queue = Queue(self._path)
        queue: Queue = self._local.queue
        return act(queue)

    async def start(self) -> None:
        """Open the database, which needs a moment without another writer. Raises `QueueError`."""
        await self.read(lambda _: None)
        await self.write(lambda _: None)

    async def is_writable(self) -> bool:
        """Whether the queue can be written now."""
        if time.monotonic() - self._checked > _CHECK_SECONDS:
            try:
                await asyncio.wait_for(self.write(lambda queue: queue.check_writable()), _PATIENCE)
                self._writable = True
            except (QueueError, TimeoutError):
                self._writable = False
            self._checked = time.monotonic()
        return self._writable

    def close(self) -> None:
        """Close the database when what was begun has ended."""
        for executor in (self._reading, self._writing):
            executor.submit(self._close)
            executor.shutdown(wait=True)

    def _close(self) -> None:
        if hasattr(self._local, "queue"):
            self._local.queue.__exit__()
            del self._local.queue
