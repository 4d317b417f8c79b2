"""Runs an iterator in its own thread, so that two stages of a pipeline overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_END = object()


def prefetch(upstream: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """Yield the items of ``upstream`` in order; a thread fetches up to ``depth`` items ahead.

    An exception of the upstream is raised here after the items before it. When the consumer stops early, the thread closes the
    upstream generator and ends.
    """
    yield from merge([upstream], depth, threading.Event())


def merge(upstreams: Iterable[Iterable[T]], depth: int, stopped: threading.Event) -> Generator[T, None, None]:
    """`prefetch` of several upstreams, each in its own thread; the items of one upstream stay in order.

    ``stopped`` is set when the consumer stops; an upstream that waits for another event must poll it.
    """
    items: queue.Queue[object] = queue.Queue(maxsize=depth)
    failures: list[BaseException] = []

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run(upstream: Iterable[T]) -> None:
        try:
            for item in upstream:
                if not put(item):
                    break
        except BaseException as error:  # raised again in the consumer
            failures.append(error)
        finally:
            close = getattr(upstream, "close", None)
            if close is not None:
                close()
            put(_END)

    threads = [threading.Thread(target=run, args=(one,), name="prefetch", daemon=True) for one in upstreams]
    for thread in threads:
        thread.start()
    left = len(threads)
    try:
        while left:
            if (item := items.get()) is not _END:
                yield item  # type: ignore[misc]  # only _END and items of T are ever put
                continue
            left -= 1
            if failures:
                raise failures[0]
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
