"""Finds the ONNX files that ship with the package by their names."""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path

from gpu_saliency.errors import ModelError

SHIPPED_FOLDER = Path(str(importlib.resources.files("gpu_saliency"))) / "models"
DEFAULT_MODEL = SHIPPED_FOLDER / "saliency_fast_v3.onnx"
SHIPPED_MODELS = ("saliency_fast_v3", "saliency_best_v3")
"""Names that `find_model` accepts instead of a path."""
WITHDRAWN_MODELS = frozenset(
    {
        "saliency_student_v1",
        "saliency_student_v2",
        "saliency_student_v2_fp16",
        "saliency_fast_v1_fp16",
        "saliency_best_v1_fp16",
        "saliency_fast_v1",
        "saliency_best_v1",
        "saliency_fast_v2",
        "saliency_best_v2",
    }
)
"""Names that earlier versions shipped; docs/models keeps the figures of those without a suffix."""


def find_model(name: str | os.PathLike[str]) -> Path:
    """Resolve ``name``, a path or one of `SHIPPED_MODELS`, to the path of an ONNX file.

    An existing file has precedence over a shipped model of that name. Other names are returned as paths, unchecked. Raises
    `ModelError` for one of `WITHDRAWN_MODELS` where no file has that name.
    """
    path = Path(name)
    if path.exists():
        return path
    if str(name) in WITHDRAWN_MODELS:
        raise ModelError(f"{name}: is no longer shipped", cure=f"use {' or '.join(SHIPPED_MODELS)}, or give an ONNX file")
    return SHIPPED_FOLDER / f"{name}.onnx" if str(name) in SHIPPED_MODELS else path
