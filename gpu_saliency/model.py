"""The saliency model: an ONNX file with a contract, checked when it is loaded and again on every answer.

Contract: one input, float32 ``[N, 3, H, W]``, R'G'B' normalised with ImageNet's mean and deviation; one output, float32
``[N, 1, H, W]`` in 0..1. ``N`` may be fixed at 1. ``H`` and ``W`` may be dynamic (then they are multiples of the metadata entry
``gpu_saliency.size_multiple``, or of 32 without it) or fixed.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import ModelError
from gpu_saliency.runtime import import_onnxruntime

DEFAULT_MODEL = Path(__file__).parent / "models" / "saliency_student_v1.onnx"
DEFAULT_BATCH_SIZE = 4
"""On two cores four pictures take no longer each than eight, and less is left to do when the decoder has finished."""
_DEFAULT_PIXELS = 256 * 144
_DEFAULT_MULTIPLE = 32
_MAX_SQUASH = 1.06
_TOLERANCE = 1e-3

# ImageNet statistics, as in torchvision's reference transforms; R', G', B' in 0..1.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True)
class InputSize:
    """How a picture is laid into the model's input; (width, height) in pixels."""

    content: tuple[int, int]
    """The picture is shrunk to this."""
    padded: tuple[int, int]
    """Then its last column and row are repeated up to this."""

    @classmethod
    def fit(cls, aspect: float, fixed: tuple[int, int] | None, multiple: int, pixels: int) -> InputSize:
        """For a picture of ``aspect`` (width / height).

        A fixed input holds the largest picture of that aspect. A free one takes about ``pixels`` pixels, with both sides rounded
        to the ``multiple`` if that squashes the picture by less than 6 %, and padded otherwise.
        """
        if fixed is not None:
            width = min(fixed[0], round(fixed[1] * aspect))
            height = min(fixed[1], round(fixed[0] / aspect))
            return cls((max(1, width), max(1, height)), fixed)
        width_exact, height_exact = math.sqrt(pixels * aspect), math.sqrt(pixels / aspect)
        width, height = (max(1, round(side / multiple)) * multiple for side in (width_exact, height_exact))
        squash = width / height / aspect
        if max(squash, 1 / squash) < _MAX_SQUASH:
            return cls((width, height), (width, height))
        width, height = max(1, round(width_exact)), max(1, round(height_exact))
        return cls((width, height), (-(-width // multiple) * multiple, -(-height // multiple) * multiple))


class SaliencyModel:
    """An ONNX saliency model in a session. Call it with ``[N, 3, H, W]`` to get ``[N, H, W]``."""

    def __init__(self, path: str | Path, *, providers: tuple[str, ...] = ("CPUExecutionProvider",), threads: int = 0) -> None:
        """Load and check ``path``. ``threads`` 0 means half the usable cores, since the decoder has the others.

        Raises `ModelError` or `ToolMissingError`."""
        self.path = Path(path)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path}: cannot be read: {error.strerror}", cure="give an ONNX file") from error
        self.sha256 = hashlib.sha256(data).hexdigest()
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or max(1, len(os.sched_getaffinity(0)) // 2)
        # Waiting threads that spin take the cores that the decoder needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(str(self.path), options, providers=list(providers))
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise ModelError(f"{self.path}: is not a usable ONNX model: {_first_line(error)}") from error
        self.provider: str = self._session.get_providers()[0]
        self._read_contract()
        self(np.zeros((1, 3, *self.input_size(16 / 9).padded[::-1]), np.float32))

    @property
    def name(self) -> str:
        return self.path.stem

    def _read_contract(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise self._breach(f"it has {len(inputs)} inputs and {len(outputs)} outputs")
        shape, kind = inputs[0].shape, inputs[0].type
        if len(shape) != 4 or shape[1] != 3 or kind != "tensor(float)":
            raise self._breach(f"its input is {kind} {shape}")
        batch, height, width = shape[0], shape[2], shape[3]
        if isinstance(batch, int) and batch != 1:
            raise self._breach(f"its batch is fixed at {batch}")
        if isinstance(height, int) != isinstance(width, int):
            raise self._breach(f"one side of its input is fixed, the other is not: {shape}")
        self._input_name: str = inputs[0].name
        self.batch_size = 1 if batch == 1 else DEFAULT_BATCH_SIZE
        self._fixed = (int(width), int(height)) if isinstance(height, int) else None
        meta: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        try:
            self._multiple = int(meta.get("gpu_saliency.size_multiple", _DEFAULT_MULTIPLE))
            width, height = (int(meta.get(f"gpu_saliency.default_{side}", 0)) for side in ("width", "height"))
        except ValueError as error:
            raise self._breach(f"its metadata is not numeric: {error}") from error
        if not 1 <= self._multiple <= 512 or not 0 <= width * height <= 4096**2:
            raise self._breach(f"its metadata asks for multiples of {self._multiple} and {width}x{height}")
        self._pixels = width * height or _DEFAULT_PIXELS

    def input_size(self, aspect: float | Fraction) -> InputSize:
        """The input for a picture whose displayed width / height is ``aspect``."""
        return InputSize.fit(float(aspect), self._fixed, self._multiple, self._pixels)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[N, 3, H, W]`` to ``[N, H, W]`` in 0..1. Raises `ModelError` when the answer breaks the contract."""
        step = self.batch_size if self.batch_size == 1 else len(pixels)
        parts = [self._run(pixels[i : i + step]) for i in range(0, len(pixels), step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            (maps,) = self._session.run(None, {self._input_name: pixels})
        except Exception as error:  # as above
            raise ModelError(f"{self.path}: failed on input {list(pixels.shape)}: {_first_line(error)}") from error
        expected = (len(pixels), 1, *pixels.shape[2:])
        if maps.shape != expected or maps.dtype != np.float32:
            raise self._breach(f"for input {list(pixels.shape)} it answers {maps.dtype} {list(maps.shape)}")
        low, high = float(maps.min()), float(maps.max())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # also refuses nan
            raise self._breach(f"its answer lies in {low:g} .. {high:g}, not in 0 .. 1")
        answer: NDArray[np.float32] = np.clip(maps[:, 0], 0, 1)
        return answer

    def _breach(self, what: str) -> ModelError:
        return ModelError(
            f"{self.path}: breaks the model contract: {what}",
            cure="input float32 [N,3,H,W], output float32 [N,1,H,W] in 0..1; see docs/model-contract.md",
        )

    def describe(self) -> dict[str, Any]:
        """What a result and a sidecar record of the model."""
        return {"name": self.name, "sha256": self.sha256}


def normalise(rgb: NDArray[np.uint8], padded: tuple[int, int]) -> NDArray[np.float32]:
    """``[N, h, w, 3]`` full-range R'G'B' to the model's ``[N, 3, H, W]``: ``(rgb / 255 - mean) / std``, edges repeated."""
    count, height, width, _ = rgb.shape
    pixels = np.empty((count, 3, padded[1], padded[0]), np.float32)
    inner = pixels[:, :, :height, :width]
    # Channel by channel into the final array: six times as fast as the same arithmetic broadcast over a transposed view.
    for channel, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):
        np.multiply(rgb[..., channel], 1 / (255 * std), out=inner[:, channel])
        inner[:, channel] -= mean / std
    pixels[:, :, :height, width:] = inner[..., -1:]
    pixels[:, :, height:] = pixels[:, :, height - 1 : height]
    return pixels


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
