"""Calls NVIDIA's run-time compiler through ctypes, from the wheel ``nvidia-cuda-nvrtc``; needs neither a GPU nor a driver."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path


def _library_path() -> Path | None:
    """The newest installed ``libnvrtc.so.N``; the wheels put it in ``nvidia/cu13/lib`` or ``nvidia/cuda_nvrtc/lib``."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("*/lib/libnvrtc.so.*") if path.suffix[1:].isdigit()]
    return max(found, key=lambda path: int(path.suffix[1:]), default=None)


def missing() -> str | None:
    """The reason why NVRTC cannot be used; ``None`` where it can."""
    if _library_path() is None:
        return "no NVRTC; pip install 'gpu-saliency[nvrtc]'"
    try:
        _library()
    except OSError as error:
        return f"NVRTC cannot be loaded: {error}"
    return None


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_library_path()))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def compile_cubin(text: str, options: tuple[str, ...]) -> tuple[bytes, str]:
    """Compile ``text``; returns the binary and the compiler's log. Raises `ValueError` with the log where it does not compile."""
    library, program = _library(), ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"module.cu", 0, None, None))
    try:
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), words)
        log = _read(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if status:
            raise ValueError(f"{library.nvrtcGetErrorString(status).decode()} with {' '.join(options)}\n{log}")
        return _read(program, "CUBIN"), log
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _read(program: ctypes.c_void_p, what: str) -> bytes:
    library, size = _library(), ctypes.c_size_t()
    _check(getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(status: int) -> None:
    if status:
        raise RuntimeError(_library().nvrtcGetErrorString(status).decode())
