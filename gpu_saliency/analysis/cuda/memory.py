"""GPU memory: errors when it runs out, the current device of a thread, and copies to the host."""

from __future__ import annotations

import contextlib
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
    """The error of a device ``cuda`` that cannot be used because of ``problem``."""
    return ToolMissingError(problem, setting="device", value="cuda", cure=cure)


@contextlib.contextmanager
def device_errors() -> Iterator[None]:
    """Turn each library's out-of-memory error into `DeviceMemoryError`, and CUDA's other errors into `ToolMissingError`.

    The libraries are recognised by the names and texts of their errors, so that none must be imported for it.
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
            cure = f"nvidia-smi shows its state; or give {setting('device', 'cpu')}"
            raise cuda_error(f"the GPU fails: {first_line(error)}", cure) from error
        raise


@contextlib.contextmanager
def on_gpu(gpu: int) -> Iterator[None]:
    """Make ``gpu`` the current device of this thread; errors are those of `device_errors`."""
    import cupy

    with device_errors(), cupy.cuda.Device(gpu):
        yield


@contextlib.contextmanager
def memory_errors_as_missing(gpu: int) -> Iterator[None]:
    """Turn `DeviceMemoryError` into `ToolMissingError`, for work that cannot be done with less memory."""
    try:
        yield
    except DeviceMemoryError as error:
        cure = f"nvidia-smi shows which process uses it; or give another {setting('gpus')}, or {setting('device', 'cpu')}"
        raise cuda_error(f"GPU {gpu} has too little memory left: {error}", cure) from error


@dataclass(slots=True)
class Traffic:
    """Bytes copied between host and device."""

    to_device: int = 0
    to_host: int = 0


def to_host(arrays: Sequence[Any], cuda_stream: Any, traffic: Traffic | None = None) -> list[NDArray[Any]]:
    """Copy contiguous cupy ``arrays`` to the host in one transfer through one pinned buffer; waits for ``cuda_stream``.

    All arrays lie on the current device; the work that fills them was enqueued on ``cuda_stream`` or has finished.
    """
    import cupy

    sizes = [array.nbytes for array in arrays]
    total = sum(sizes)
    pinned = cupy.cuda.alloc_pinned_memory(max(1, total))
    with cuda_stream:
        packed = cupy.concatenate([array.reshape(-1).view(np.uint8) for array in arrays])
        packed.data.copy_to_host_async(pinned.ptr, total, cuda_stream)
    cuda_stream.synchronize()
    if traffic is not None:
        traffic.to_host += total
    host: NDArray[np.uint8] = np.frombuffer(pinned, np.uint8, total).copy()
    ends = np.cumsum(sizes)
    return [
        host[end - size : end].view(array.dtype).reshape(array.shape) for array, size, end in zip(arrays, sizes, ends, strict=True)
    ]
