"""Imports ONNX Runtime with telemetry off; refuses an installation in which two of its wheels conflict."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from types import ModuleType

from gpu_saliency.errors import ToolMissingError

# Recent Linux wheels of ONNX Runtime send telemetry and keep an identifier on disk; only a variable that is set before the import
# disables both (microsoft/onnxruntime#27379, #29843; its name differs between releases). A value set by the user is kept.
_TELEMETRY_SWITCHES = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
_WHEELS = ("onnxruntime", "onnxruntime-gpu")


def installed_runtimes() -> dict[str, str]:
    """Version by name of the ONNX Runtime wheels in the first folder of ``sys.path`` that has one.

    Wheels in later folders are not imported, so they are harmless.
    """
    folders: dict[str, dict[str, str]] = {}
    for wheel in _WHEELS:
        try:
            distribution = importlib.metadata.distribution(wheel)
        except importlib.metadata.PackageNotFoundError:
            continue
        folders.setdefault(os.path.realpath(str(distribution.locate_file(""))), {})[wheel] = distribution.version
    for entry in sys.path:
        if found := folders.get(os.path.realpath(entry)):
            return found
    return next(iter(folders.values()), {})


def import_onnxruntime() -> ModuleType:
    """Import the module ``onnxruntime``.

    Raises `ToolMissingError` if no wheel is installed, or if both are: they install into the same folder, the later wheel
    determines the providers, and removing one breaks the other.
    """
    found = installed_runtimes()
    if len(found) > 1:
        raise ToolMissingError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other",
            cure="run pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'gpu-saliency[cpu]' or 'gpu-saliency[gpu]'",
        )
    for variable in _TELEMETRY_SWITCHES:
        os.environ.setdefault(variable, "1")
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ToolMissingError(
            f"ONNX Runtime cannot be imported: {error}",
            cure="run pip install 'gpu-saliency[cpu]', or 'gpu-saliency[gpu]' on an NVIDIA machine",
        ) from error
