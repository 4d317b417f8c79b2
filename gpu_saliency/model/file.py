"""Reads model files of any origin: regular files of a bounded size that hold all of their data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.errors import ModelError, near
from gpu_saliency.model.shipped import SHIPPED_FOLDER, SHIPPED_MODELS
from gpu_saliency.model.wire import fields_of
from gpu_saliency.untrusted.regular import read_regular

MAX_MODEL_BYTES = 1 << 30
_GIVE_ONNX = "give an ONNX file or the name of a shipped model: " + " or ".join(SHIPPED_MODELS)
_MAX_DEPTH = 32

# Field numbers of onnx.proto3: the messages that contain a tensor, by the message and the number of the field.
_INNER = {
    ("model", 7): "graph",
    ("model", 20): "training",
    ("model", 25): "function",
    ("training", 1): "graph",
    ("training", 2): "graph",
    ("function", 7): "node",
    ("function", 11): "attribute",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file, read once: the session is made from the same bytes that the hash identifies."""

    path: Path
    data: bytes
    sha256: str

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """Read and check ``path``. Raises `ModelError`."""
        data = _content(path)
        try:
            external = "model" if _is_external("model", memoryview(data), 0) else None
        except ValueError as error:
            raise ModelError(f"{path}: is not a usable ONNX model: {error}", cure=_GIVE_ONNX) from error
        if external:
            cure = "save it with its data inside, for example by onnx.save(model, path)"
            raise ModelError(f"{path}: keeps data in other files, which are not read", cure=cure)
        return cls(path, data, hashlib.sha256(data).hexdigest())

    @property
    def is_shipped(self) -> bool:
        """Whether it came with this package."""
        return self.path.resolve().parent == SHIPPED_FOLDER.resolve()

    def describe(self) -> dict[str, Any]:
        """Name and SHA-256, for results and sidecars."""
        return {"name": self.path.stem, "sha256": self.sha256}


def describe_model(path: Path) -> dict[str, Any]:
    """Name and SHA-256 of a model file, for results and sidecars. Raises `ModelError` if it cannot be read."""
    return {"name": path.stem, "sha256": hashlib.sha256(_content(path)).hexdigest()}


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_MODEL_BYTES)
    except OSError as error:
        guess = "" if path.exists() else near(str(path), SHIPPED_MODELS)
        raise ModelError(f"{path}: cannot be read: {error.strerror}{guess}", cure=_GIVE_ONNX) from error
    except ValueError as error:
        raise ModelError(f"{path}: {error}", cure=_GIVE_ONNX) from error


def _is_external(message: str, data: memoryview, depth: int) -> bool:
    """Whether a tensor inside the protobuf ``message`` lies in another file. Raises `ValueError` for damaged or deep messages."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"its graphs are nested more than {_MAX_DEPTH} levels deep")
    for number, value in fields_of(data):
        if message == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
            continue
        inner = _INNER.get((message, number))
        if inner is not None and isinstance(value, memoryview) and _is_external(inner, value, depth + 1):
            return True
    return False
