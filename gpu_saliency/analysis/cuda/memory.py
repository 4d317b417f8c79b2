"""Device memory: what is said when it runs out, and the one way from it to the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.device import DeviceMemoryError
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError
from gpu_saliency.model.contract import first_line

_MEMORY_WORDS = ("out of memory", "out_of_memory", "outofmemory", "failed to allocate memory", "alloc_failed", "bfcarena")


@contextlib.contextmanager
def device_errors() -> Iterator[None]:
    """Turn every library's way to run out of device memory into `DeviceMemoryError`, and a failure of the GPU into an error that
    says so. Each library has types, or only words, of its own; none must be imported to look at them."""
    try:
        yield
    except (DeviceMemoryError, GpuSaliencyError):
        raise
    except Exception as error:
        kind = type(error).__name__
        if any(word in f"{kind}: {error}".lower() for word in _MEMORY_WORDS):
            raise DeviceMemoryError(first_line(error)) from error
        if kind in ("CUDARuntimeError", "CUDADriverError"):
            raise ToolMissingError(
                f"--device cuda: the GPU fails: {first_line(error)}", cure="nvidia-smi shows its state; or --device cpu"
            ) from error
        raise


@contextlib.contextmanager
def memory_errors_as_missing(gpu: int) -> Iterator[None]:
    """Where nothing can be made smaller."""
    try:
        yield
    except DeviceMemoryError as error:
        raise ToolMissingError(
            f"--device cuda: GPU {gpu} has too little memory left: {error}",
            cure="nvidia-smi shows who has it; or --gpu, or --device cpu",
        ) from error


@dataclass(slots=True)
class Traffic:
    """Bytes that crossed the bus."""

    to_device: int = 0
    to_host: int = 0


def to_host(arrays: Sequence[Any], cuda_stream: Any, traffic: Traffic | None = None) -> list[NDArray[Any]]:
    """Copies of contiguous cupy ``arrays`` on the host, by one transfer through one pinned buffer; waits for ``cuda_stream``.

    All arrays lie on the current device, and what fills them was put on ``cuda_stream`` or has finished.
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
