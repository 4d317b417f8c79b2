"""Keeps NVDEC decoders that a range has left, so that the next range of the same kind of clip need not make one."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Hashable
from typing import Any, NamedTuple

MOST_IDLE = 8
"""Decoders that are kept in this process; the one that was left first goes first. At 1080p one has 30 to 60 MB of surfaces."""


class IdleDecoder(NamedTuple):
    """A flushed decoder of PyNvVideoCodec, and the stream that it was made for; all its work there has finished."""

    decoder: Any
    cuda_stream: Any


_lock = threading.Lock()
_idle: list[tuple[Hashable, IdleDecoder]] = []


def take_idle(kind: Hashable) -> IdleDecoder | None:
    """Take the decoder of ``kind`` that was left last."""
    with _lock:
        for place in range(len(_idle) - 1, -1, -1):
            if _idle[place][0] == kind:
                return _idle.pop(place)[1]
    return None


def keep_idle(kind: Hashable, idle: IdleDecoder) -> None:
    """Keep a decoder for `take_idle`. ``kind`` states all that decides whether a decoder fits."""
    with _lock:
        _idle.append((kind, idle))
        # Released outside the lock, because the release waits for the GPU.
        surplus = [_idle.pop(0) for _ in range(len(_idle) - MOST_IDLE)]
    del surplus


@atexit.register  # later their destructors would find no CUDA
def release_idle() -> None:
    """Release all decoders that are kept, and their memory."""
    with _lock:
        released = _idle[:]
        _idle.clear()
    del released
