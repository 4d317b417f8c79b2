"""Launches kernels of ``kernels/`` on a CUDA stream; converts each argument to the type that the kernel declares.

The caller keeps all arrays of a kernel alive, in memory of the current device, until the stream has run the kernel.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from gpu_saliency.analysis.cuda.kernels.text import COMPILE_OPTIONS, kernel_arguments, module_source

FORMATS = {"pointer": "Q", "int64": "q", "float64": "d", "int32": "i4x", "float32": "f4x"}
"""`struct` formats of the argument types; each argument has eight bytes, so that it is aligned."""


class Launch(Protocol):
    """Runs one kernel. A pointer argument is an array, an address, or ``None`` for null."""

    def __call__(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: Sequence[Any]) -> None: ...

    def prepare(self, name: str, grid: tuple[int, ...], block: tuple[int, ...]) -> Callable[..., None]:
        """Return a function of the kernel's arguments, with addresses as pointers, that launches it; for many launches."""
        ...


class CudaLaunch:
    """Launches kernels on one stream of the current device. One thread at a time may use it.

    Arguments are written to storage that is made once, and the driver's function is called with its address: about 2 us, where
    CuPy's launch of these kernels takes 15 to 25. The driver copies the arguments before the call returns.
    """

    def __init__(self, cuda_stream: Any) -> None:
        """``cuda_stream`` is a ``cupy.cuda.Stream`` or ``ExternalStream``."""
        self._cuda_stream = cuda_stream

    def __call__(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: Sequence[Any]) -> None:
        kinds = kernel_arguments()[name]
        values = [address_of(value) if kind == "pointer" else value for kind, value in zip(kinds, arguments, strict=True)]
        self.prepare(name, grid, block)(*values)

    def prepare(self, name: str, grid: tuple[int, ...], block: tuple[int, ...]) -> Callable[..., None]:
        from cupy.cuda import driver, runtime

        kinds = kernel_arguments()[name]
        pack = struct.Struct("=" + "".join(FORMATS[kind] for kind in kinds)).pack_into
        storage = (ctypes.c_uint64 * len(kinds))()
        first = ctypes.addressof(storage)
        pointers = (ctypes.c_uint64 * len(kinds))(*(first + 8 * i for i in range(len(kinds))))
        function, launch_kernel = _function(runtime.getDevice(), name), driver.launchKernel
        shape = (*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3])
        # No dynamic shared memory; the last argument is another way to pass the arguments.
        tail = (0, self._cuda_stream.ptr, ctypes.addressof(pointers), 0)

        def launch(*values: Any, kept: Any = (pointers, self._cuda_stream)) -> None:  # noqa: ARG001  # kept alive
            pack(storage, 0, *values)
            launch_kernel(function, *shape, *tail)

        return launch


def address_of(value: Any) -> int:
    """The address of an array, of CuPy or on the host; an address as it is, and 0 for ``None``."""
    if value is None or isinstance(value, int):
        return value or 0
    return int(value.ctypes.data if isinstance(value, np.ndarray) else value.data.ptr)


@functools.cache
def _function(gpu: int, name: str) -> int:
    """The driver's handle of a kernel on ``gpu``, which is the current device; it lives as long as `_module`."""
    del gpu
    return int(_module().get_function(name).kernel.ptr)


@functools.cache
def _module() -> Any:
    """The module of all kernels. CuPy compiles it at the first use on a device and caches the binary per device and on disk."""
    import cupy

    return cupy.RawModule(code=module_source(), options=COMPILE_OPTIONS, backend="nvrtc")
