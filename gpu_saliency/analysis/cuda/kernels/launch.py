"""Launches kernels of ``kernels/`` on a CUDA stream; converts each argument to the type that the kernel declares.

The caller keeps all arrays of a kernel alive, in memory of the current device, until the stream has run the kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from gpu_saliency.analysis.cuda.kernels.text import COMPILE_OPTIONS, kernel_arguments, module_source


class Launch(Protocol):
    """Runs one kernel. A pointer argument is an array, an address, or ``None`` for null."""

    def __call__(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: Sequence[Any]) -> None: ...


class CudaLaunch:
    """Launches kernels on one stream of the current device."""

    def __init__(self, cuda_stream: Any) -> None:
        """``cuda_stream`` is a ``cupy.cuda.Stream`` or ``ExternalStream``."""
        self._cuda_stream = cuda_stream
        self._functions: dict[str, Any] = {}

    def __call__(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: Sequence[Any]) -> None:
        declared = kernel_arguments()[name]
        values = [_cuda_value(kind, value) for kind, value in zip(declared, arguments, strict=True)]
        if name not in self._functions:
            self._functions[name] = _module().get_function(name)
        with self._cuda_stream:
            self._functions[name](grid, block, tuple(values))


def _cuda_value(kind: str, value: Any) -> Any:
    """Convert ``value`` to the declared type: CuPy passes Python numbers as 64 bits, and ``None``, in some releases, as -1."""
    if kind == "pointer":
        return np.uint64(value or 0) if value is None or isinstance(value, int) else value
    return np.dtype(kind).type(value)


@functools.cache
def _module() -> Any:
    """The module of all kernels. CuPy compiles it at the first use on a device and caches the binary per device and on disk."""
    import cupy

    return cupy.RawModule(code=module_source(), options=COMPILE_OPTIONS, backend="nvrtc")
