"""Loads the CUDA, cuDNN and TensorRT libraries of pip's wheels, and diagnoses provider libraries that cannot be loaded."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.errors import setting
from gpu_saliency.model.contract import first_line

LIBRARY_CURES = {
    "CUDAExecutionProvider": "pip install 'gpu-saliency[gpu]' brings CUDA 13 and cuDNN 9",
    "TensorrtExecutionProvider": f"pip install 'tensorrt-cu13>=10.13,<11', or give {setting('provider', 'cuda')}",
}


def library_error(ort: Any, provider: str) -> str | None:
    """Why the library of ``provider`` cannot be loaded, ``None`` where it can. ONNX Runtime only logs it."""
    name = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}[provider]
    try:
        ctypes.CDLL(str(Path(ort.__file__).parent / "capi" / f"libonnxruntime_providers_{name}.so"))
    except OSError as error:
        return first_line(error)
    return None


def load_libraries(ort: Any, settings: GpuSettings) -> None:
    """Load CUDA, cuDNN and TensorRT from pip's wheels, which the dynamic loader does not search.

    ONNX Runtime searches only beside its own folder, and the CUDA wheels may be in another one.
    """
    if settings.provider == "tensorrt":
        # Importing its wheel loads libnvinfer. Without the wheel a system library is used, or the session fails with an error.
        with contextlib.suppress(ImportError):
            importlib.import_module("tensorrt")
    if hasattr(ort, "preload_dlls"):
        # It prints the libraries that it does not find; the session that needs one raises an error too.
        with contextlib.redirect_stdout(None):
            for folder in library_folders():
                ort.preload_dlls(directory=folder)
            ort.preload_dlls()


def library_folders() -> list[str]:
    """The library folders of pip's CUDA wheels, in every folder of ``sys.path``."""
    spec = importlib.util.find_spec("nvidia")
    roots = [] if spec is None else spec.submodule_search_locations or []
    return [str(folder) for root in roots for folder in sorted(Path(root).glob("*/lib")) if folder.is_dir()]
