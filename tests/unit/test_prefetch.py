"""`prefetch` and `merge`: order of items, errors, early ends, and overlap of two stages."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gpu_saliency.source.prefetch import merge, prefetch


def test_order_is_kept() -> None:
    assert list(prefetch(iter(range(100)), depth=3)) == list(range(100))


def test_an_upstream_error_is_raised_after_earlier_items() -> None:
    def upstream() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("broken")

    stream = prefetch(upstream())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(KeyError, match="broken"):
        next(stream)


def test_an_early_end_closes_the_upstream_and_ends_its_thread() -> None:
    closed = threading.Event()

    def upstream() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    stream = prefetch(upstream())
    assert next(stream) == 0
    stream.close()
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_upstream_runs_ahead_by_depth() -> None:
    """While the consumer holds item 0, the upstream makes ``depth`` items for the queue and one that waits to enter it."""
    made = []
    reached = threading.Event()

    def upstream() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            if i == 3:
                reached.set()
            yield i

    stream = prefetch(upstream(), depth=2)
    next(stream)
    assert reached.wait(5), "the upstream did not run while the consumer held an item"
    assert not threading.Event().wait(0.3)
    assert len(made) == 4
    assert list(stream) == list(range(1, 50))


def test_merged_upstreams_keep_their_order() -> None:
    def named(name: str) -> Iterator[tuple[str, int]]:
        yield from ((name, i) for i in range(50))

    items = list(merge([named(name) for name in "abc"], 2, threading.Event()))
    assert len(items) == 150
    for name in "abc":
        assert [i for one, i in items if one == name] == list(range(50))


def test_an_upstream_error_stops_all_upstreams() -> None:
    """Also one that is blocked until the consumer stops."""
    stopped = threading.Event()

    def waits() -> Iterator[int]:
        yield 1
        assert stopped.wait(10)

    def fails() -> Iterator[int]:
        yield 2
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        list(merge([waits(), fails()], 4, stopped))
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]
