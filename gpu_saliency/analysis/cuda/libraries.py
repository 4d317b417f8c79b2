"""Loads the CUDA, cuDNN and TensorRT libraries of pip's wheels, and finds out why a provider cannot be loaded."""

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
    "CUDAExecutionProvider": "run pip install 'gpu-saliency[gpu]', which brings CUDA 13 and cuDNN 9",
    "TensorrtExecutionProvider": f"run pip install 'tensorrt-cu13>=10.13,<11', or give {setting('provider', 'cuda')}",
}


def library_error(ort: Any, provider: str) -> str | None:
    """The loader's error for the library of ``provider``, ``None`` if it loads; ONNX Runtime only logs such errors."""
    name = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}[provider]
    try:
        ctypes.CDLL(str(Path(ort.__file__).parent / "capi" / f"libonnxruntime_providers_{name}.so"))
    except OSError as error:
        return first_line(error)
    return None


def load_libraries(ort: Any, settings: GpuSettings) -> None:
    """Load CUDA, cuDNN and TensorRT from pip's wheels, which the dynamic loader does not search.

    ONNX Runtime itself searches only beside its own folder, and the CUDA wheels may be elsewhere.
    """
    if settings.provider == "tensorrt":
        # The import of TensorRT's wheel loads libnvinfer. Without the wheel a system library is used, or the session fails.
        with contextlib.suppress(ImportError):
            importlib.import_module("tensorrt")
    if hasattr(ort, "preload_dlls"):
        # preload_dlls prints the libraries that it does not find; this is discarded, as a session that needs one raises an error.
        with contextlib.redirect_stdout(None):
            for folder in library_folders():
                ort.preload_dlls(directory=folder)
            ort.preload_dlls()


def library_folders() -> list[str]:
    """The library folders of all CUDA wheels that pip installed, in any folder of ``sys.path``."""
    spec = importlib.util.find_spec("nvidia")
    roots = [] if spec is None else spec.submodule_search_locations or []
    return [str(folder) for root in roots for folder in sorted(Path(root).glob("*/lib")) if folder.is_dir()]
