"""Times work on a CUDA stream by events, without the time that the host takes to launch it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from gpu_saliency.bench.stages import Timed

_GATE_SECONDS = 2.0
"""Longest time that the stream is held; it ends a mistake, as work that is launched takes milliseconds."""


def timed_on(cuda_stream: Any, launch: Callable[[], int], *, held: bool) -> Timed:
    """Run ``launch``, which enqueues work on ``cuda_stream`` and returns its count; time that work by CUDA events.

    ``held`` keeps the stream waiting until everything is enqueued, so that the events show the kernels' time and not that of
    launches. ``launch`` then may not allocate GPU memory or wait for the stream, and enqueues fewer than 1,000 kernels, as many as
    the driver's queue holds. The stream belongs to the current device.
    """
    import cupy

    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    cuda_stream.synchronize()
    gate = threading.Event()
    try:
        if held:
            # A function on the host blocks the stream. CuPy 14.2 runs it with Python's lock, which `wait` releases.
            cuda_stream.launch_host_func(_wait, gate)
        start.record(cuda_stream)
        began = time.perf_counter()
        count = launch()
        host_seconds = time.perf_counter() - began
        end.record(cuda_stream)
    finally:
        gate.set()
        cuda_stream.synchronize()
    return Timed(count, cupy.cuda.get_elapsed_time(start, end) / 1000, host_seconds)


def _wait(gate: threading.Event) -> None:
    gate.wait(_GATE_SECONDS)
