"""Runs the text of the kernels in tests, on the host with the launch shim or on a GPU, through the same `Kernels`."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.kernels.launch import address_of
from gpu_saliency.analysis.cuda.kernels.text import kernel_arguments, module_source

SHIM = Path(__file__).parent / "kernel_shim"
# No contraction, so that g++ rounds as the CUDA compilers do. Two builds in one process share no variable.
GXX = ("g++", "-std=c++20", "-O1", "-ffp-contract=off", "-fno-gnu-unique", "-shared", "-fPIC", "-pthread")
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=undefined")
Array = NDArray[Any]


class Backend(Protocol):
    """Kernels, and arrays in memory that they can access."""

    kernels: Kernels

    def put(self, array: Array) -> Any: ...

    def get(self, array: Any) -> Array: ...

    def address(self, array: Any) -> int: ...


def build_shim(folder: Path, *options: str) -> Path:
    """Compile the kernels with g++ into ``folder``; ``-DONE_THREAD`` as in shim.cpp.

    Raises `subprocess.CalledProcessError`, after g++ has printed its errors.
    """
    (folder / "module.cu").write_text(module_source(), encoding="utf-8")
    library = folder / "kernels.so"
    subprocess.run([*GXX, *STRICT, *options, f"-I{SHIM}", f"-I{folder}", str(SHIM / "shim.cpp"), "-o", str(library)], check=True)
    return library


class ShimLaunch:
    """Launches kernels on the host, with numpy arrays in place of device arrays."""

    def __init__(self, library: Path) -> None:
        self._launch = ctypes.CDLL(str(library)).launch

    def __call__(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: Sequence[Any]) -> None:
        kinds = kernel_arguments()[name]
        values = [self._value(kind, value) for kind, value in zip(kinds, arguments, strict=True)]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        sizes = ((ctypes.c_uint * 2)(*(*side, 1)[:2]) for side in (grid, block))
        status = self._launch(name.encode(), *sizes, pointers, ctypes.c_size_t(len(values)))
        assert status == 0, f"{name}: " + {1: "the shim does not know it", 2: f"takes not {len(values)} arguments"}[status]

    def prepare(self, name: str, grid: tuple[int, ...], block: tuple[int, ...]) -> Callable[..., None]:
        return lambda *values: self(name, grid, block, values)

    @staticmethod
    def _value(kind: str, value: Any) -> Array:
        """An array of one element, in the width that the kernel declares."""
        return np.array([address_of(value)], np.uint64) if kind == "pointer" else np.array([value], kind)


class ShimBackend:
    """The host."""

    def __init__(self, library: Path) -> None:
        self.kernels = Kernels(ShimLaunch(library))

    def put(self, array: Array) -> Array:
        return np.ascontiguousarray(array).copy()

    def get(self, array: Array) -> Array:
        return array

    def address(self, array: Array) -> int:
        return array.ctypes.data


class CudaBackend:
    """The GPU, on a stream of its own that does not wait for the default stream."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self.cuda_stream = cupy.cuda.Stream(non_blocking=True)
        self.kernels = Kernels.on(self.cuda_stream)

    def put(self, array: Array) -> Any:
        with self.cuda_stream:
            return self._cupy.asarray(np.ascontiguousarray(array))

    def get(self, array: Any) -> Array:
        copied: Array = self._cupy.asnumpy(array, stream=self.cuda_stream)
        self.cuda_stream.synchronize()
        return copied

    def address(self, array: Any) -> int:
        return int(array.data.ptr)


class Guarded:
    """An output array of a kernel, between two guard areas that the kernel must not change."""

    _GUARD = 64
    _FILL = 0xA5

    def __init__(self, backend: Backend, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._backend, self._shape, self._dtype = backend, shape, dtype
        self._bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._all = backend.put(np.full(self._bytes + 2 * self._GUARD, self._FILL, np.uint8))
        self.array = self._all[self._GUARD : self._GUARD + self._bytes].view(dtype).reshape(shape)

    def get(self) -> Array:
        """The kernel's output; fails where the kernel has written to a guard."""
        everything = self._backend.get(self._all)
        inside = everything[self._GUARD : self._GUARD + self._bytes]
        guards = np.concatenate((everything[: self._GUARD], everything[self._GUARD + self._bytes :]))
        assert (guards == self._FILL).all(), "the kernel wrote beyond its output"
        return inside.view(self._dtype).reshape(self._shape).copy()


def lay_out(
    backend: Backend, layout: SampleLayout, planes: Sequence[Array], rng: np.random.Generator, padding: int = 32
) -> tuple[Surface, Any]:
    """Store ``planes`` (luma, Cb, Cr, or luma alone; sample values ``[h, w]``) like a decoder; returns the surface and its memory.

    The space between and around the lines and the unused bits of samples hold noise, so that reading them gives wrong results.
    """
    height, width = planes[0].shape
    kind: type[np.generic] = np.uint8 if layout.sample_bytes == 1 else np.uint16
    stored = [plane.astype(np.uint16) << layout.sample_shift for plane in planes]
    if layout.sample_shift:
        stored = [plane | rng.integers(0, 1 << layout.sample_shift, plane.shape).astype(np.uint16) for plane in stored]
    if layout.chroma_planes == 1:
        stored = [stored[0], np.stack(stored[1:], axis=-1).reshape(stored[1].shape[0], -1)]
    pieces, offsets, pitches, at = [], [], [], 0
    for plane in stored:
        lines = rng.integers(0, 256, (plane.shape[0] + 2, plane.shape[1] * layout.sample_bytes + padding), np.uint8)
        lines[1:-1, : plane.shape[1] * layout.sample_bytes] = np.ascontiguousarray(plane.astype(kind)).view(np.uint8)
        pieces.append(lines.reshape(-1))
        pitches.append(lines.shape[1])
        offsets.append(at + lines.shape[1])
        at += lines.size
    memory = backend.put(np.concatenate(pieces))
    base = backend.address(memory)
    surface = Surface(
        layout, width, height, tuple(base + offset for offset in offsets), pitches[0], pitches[1] if len(pitches) > 1 else 0
    )
    return surface, memory


def sample_planes(layout: SampleLayout, size: tuple[int, int], rng: np.random.Generator) -> list[Array]:
    """Sample values over the whole range of the format: noise on a slope, so that shifts and swaps change the results."""
    peak = 2**layout.bits - 1
    sizes = [size] + [layout.chroma_size(*size)] * (2 if layout.chroma_planes else 0)
    planes = []
    for (width, height), (low, high) in zip(sizes, ((0.05, 0.95), (0.45, 0.7), (0.3, 0.55)), strict=False):
        slope = np.linspace(low, high, width) + np.linspace(-0.05, 0.05, height)[:, None]
        planes.append(np.clip(np.rint((slope + rng.normal(0, 0.02, (height, width))) * peak), 0, peak).astype(np.uint16))
    return planes
