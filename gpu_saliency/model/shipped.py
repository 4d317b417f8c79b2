"""Split from gpu_saliency.model."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

_SHIPPED = Path(str(importlib.resources.files("gpu_saliency"))) / "models"


DEFAULT_MODEL = _SHIPPED / "saliency_fast_v1.onnx"


SHIPPED_MODELS = tuple(sorted(path.stem for path in _SHIPPED.glob("*.onnx")))
"""Names that `find_model` takes instead of a path."""


def find_model(name: str | Path) -> Path:
    """The file that ``name`` means: a path, or one of `SHIPPED_MODELS` where no file of that name is there."""
    path = Path(name)
    return _SHIPPED / f"{name}.onnx" if not path.exists() and str(name) in SHIPPED_MODELS else path
