"""GPU memory: converts out-of-memory errors, sets a thread's current device, and copies arrays to the host."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.device import DeviceMemoryError
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, setting
from gpu_saliency.model.contract import first_line

_MEMORY_WORDS = ("out of memory", "out_of_memory", "outofmemory", "failed to allocate memory", "alloc_failed", "bfcarena")


def cuda_error(problem: str, cure: str) -> ToolMissingError:
    """Build the error for a problem of the device ``cuda``."""
    return ToolMissingError(problem, setting="device", value="cuda", cure=cure)


@contextlib.contextmanager
def device_errors() -> Iterator[None]:
    """Convert out-of-memory errors of all GPU libraries to `DeviceMemoryError`, and CUDA's other errors to `ToolMissingError`.

    The errors are recognised by their names and texts, so that no library must be imported for it.
    """
    try:
        yield
    except (DeviceMemoryError, GpuSaliencyError):
        raise
    except Exception as error:
        kind = type(error).__name__
        if any(word in f"{kind}: {error}".lower() for word in _MEMORY_WORDS):
            raise DeviceMemoryError(first_line(error)) from error
        if kind in ("CUDARuntimeError", "CUDADriverError"):
            cure = f"run nvidia-smi to check its state, or give {setting('device', 'cpu')}"
            raise cuda_error(f"the GPU failed: {first_line(error)}", cure) from error
        raise


@contextlib.contextmanager
def on_gpu(gpu: int) -> Iterator[None]:
    """Make ``gpu`` the current device of this thread in the block, and convert errors as `device_errors` does."""
    import cupy

    with device_errors(), cupy.cuda.Device(gpu):
        yield


_BEFORE_THE_MODEL = -1
"""Priority of the streams that are lent, above that of the model's: short kernels need not wait for the many blocks of its own."""
_idle_streams: dict[int, list[Any]] = {}
_streams_lock = threading.Lock()


@contextlib.contextmanager
def borrowed_stream(gpu: int, wanted: Any = None) -> Iterator[Any]:
    """Lend a stream of ``gpu``, the current device, to the block: ``wanted`` if given. Its work has finished when the block ends.

    Streams are used again because CuPy's memory pool keeps free memory by stream: with a new stream for each clip, the memory of
    every clip would stay allocated (seen on an H200: 65 MiB for each decoder and clip).
    """
    import cupy

    with _streams_lock:
        idle = _idle_streams.setdefault(gpu, [])
        if wanted is not None:
            # Another block may have it: then both use it, one after the other.
            idle[:] = [one for one in idle if one is not wanted]
        cuda_stream = wanted or (idle.pop(0) if idle else cupy.cuda.Stream(non_blocking=True, priority=_BEFORE_THE_MODEL))
    try:
        yield cuda_stream
    except BaseException:
        # The first error is the one to report. A stream that fails is not lent again.
        with contextlib.suppress(Exception):
            _take_back(gpu, cuda_stream)
        raise
    _take_back(gpu, cuda_stream)


def _take_back(gpu: int, cuda_stream: Any) -> None:
    cuda_stream.synchronize()
    with _streams_lock:
        if all(one is not cuda_stream for one in _idle_streams[gpu]):
            _idle_streams[gpu].append(cuda_stream)


@contextlib.contextmanager
def memory_errors_as_missing(gpu: int) -> Iterator[None]:
    """Convert `DeviceMemoryError` to `ToolMissingError`, for work that cannot be repeated with less memory."""
    try:
        yield
    except DeviceMemoryError as error:
        cure = f"run nvidia-smi to find the process that uses it, or give other {setting('gpus')}, or {setting('device', 'cpu')}"
        raise cuda_error(f"GPU {gpu} has too little free memory: {error}", cure) from error


def copy_on_device(source: Any, target: Any, cuda_stream: Any) -> None:
    """Enqueue the copy of ``source`` to ``target``, contiguous CuPy arrays alike in shape and type.

    No kernel is used: CuPy compiles one for an assignment or for `cupy.concatenate`, 0.3 s at the first use on a machine.
    """
    target.data.copy_from_device_async(source.data, source.nbytes, cuda_stream)


@dataclass(slots=True)
class Traffic:
    """Numbers of bytes copied between host and GPU, for results."""

    to_device: int = 0
    to_host: int = 0


def to_host(arrays: Sequence[Any], cuda_stream: Any, traffic: Traffic | None = None) -> list[NDArray[Any]]:
    """Copy contiguous CuPy ``arrays`` to the host through one pinned buffer; waits for ``cuda_stream`` once.

    All arrays are on the current device; the work that fills them was enqueued on ``cuda_stream`` or has finished.
    """
    import cupy

    sizes = [array.nbytes for array in arrays]
    total = sum(sizes)
    pinned = cupy.cuda.alloc_pinned_memory(max(1, total))
    ends = np.cumsum(sizes).tolist()
    for array, size, end in zip(arrays, sizes, ends, strict=True):
        array.data.copy_to_host_async(pinned.ptr + end - size, size, cuda_stream)
    cuda_stream.synchronize()
    if traffic is not None:
        traffic.to_host += total
    host: NDArray[np.uint8] = np.frombuffer(pinned, np.uint8, total).copy()
    return [
        host[end - size : end].view(array.dtype).reshape(array.shape) for array, size, end in zip(arrays, sizes, ends, strict=True)
    ]
