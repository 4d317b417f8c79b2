"""The contract for saliency models: the rules for inputs, outputs and metadata, which every device checks when it loads a model.

One input, float32 ``[N, 3, H, W]``, R'G'B' normalised with ImageNet's mean and deviation; one output, float32 ``[N, 1, H, W]`` in
0..1, and optionally a second one like it named ``gaze_map``. ``N`` is dynamic or 1. ``H`` and ``W`` are both fixed or both dynamic;
dynamic ones are multiples of the metadata entry ``gpu_saliency.size_multiple``, 32 by default. See docs/model-contract.md.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.errors import ModelError
from gpu_saliency.model.attention import ATTENTION_KEY, AttentionCurve

# As in torchvision's reference transforms; R', G', B' in 0..1.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
DEFAULT_BATCH_SIZE = 4
"""Samples per inference on the CPU. On two cores 8 are no faster per sample, and leave more inference after the last frame."""
TOLERANCE = 1e-3
"""By how much map values may lie outside 0..1."""
GAZE_OUTPUT = "gaze_map"
_DEFAULT_SIZE = (256, 144)
_DEFAULT_MULTIPLE = 32
_SHIPPED_MULTIPLE = 16
_MAX_SQUASH = 1.06
_MAX_SIDE = 4096
_WHOLE = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class InputSize:
    """The sizes of the model's input and of the picture in its top left corner; (width, height) in pixels."""

    content: tuple[int, int]
    """Size to which the picture is shrunk."""
    padded: tuple[int, int]
    """Size of the input; the picture's last column and row are repeated to fill it."""

    @classmethod
    def fit(cls, aspect: float, fixed: tuple[int, int] | None, multiple: int, pixels: int) -> InputSize:
        """Choose the sizes for a picture of ``aspect`` (width / height).

        A ``fixed`` input holds the largest picture of that aspect. A dynamic input has about ``pixels`` pixels; both sides are
        rounded to a ``multiple`` if that changes the aspect by less than 6 %, and padded to a multiple otherwise.
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


def shipped_input_size(aspect: float | Fraction) -> InputSize:
    """The input size of the default model, without loading it, for a picture with the displayed width / height ``aspect``."""
    return InputSize.fit(float(aspect), None, _SHIPPED_MULTIPLE, math.prod(_DEFAULT_SIZE))


@dataclass(frozen=True, slots=True)
class ModelContract:
    """Names and sizes of a model that keeps the contract. Produced by `ModelContract.read`."""

    path: Path
    input_name: str
    input_dimensions: tuple[str | None, ...]
    """``[4]``: the name of each dynamic dimension of the input, such as ``N``; ``None`` for fixed ones."""
    output_name: str
    """Of the saliency map."""
    batch_size: int
    """1 if the model's batch is fixed, else `DEFAULT_BATCH_SIZE`."""
    fixed: tuple[int, int] | None
    """(width, height) in pixels if the model fixes them."""
    multiple: int
    """The sides of a dynamic input are multiples of this number of pixels."""
    pixels: int
    """Approximate number of pixels of a dynamic input."""
    gaze_name: str | None = None
    """Of the output for the gaze map; ``None`` where there is none."""
    attention: AttentionCurve | None = None
    """The curve in the metadata; ``None`` where there is none."""

    @property
    def output_names(self) -> list[str]:
        """One name, or that of the saliency map and that of the gaze map."""
        return [name for name in (self.output_name, self.gaze_name) if name is not None]

    @classmethod
    def read(cls, path: Path, session: Any) -> ModelContract:
        """Read names, sizes and metadata from an ``onnxruntime.InferenceSession``. Raises `ModelError` if they break the rules."""
        inputs, outputs = session.get_inputs(), session.get_outputs()
        names = [output.name for output in outputs]
        if len(inputs) != 1 or not (len(names) == 1 or (len(names) == 2 and GAZE_OUTPUT in names)):
            raise breach(path, f"{len(inputs)} inputs and {len(outputs)} outputs ({', '.join(names)[:200]})")
        gaze_name = GAZE_OUTPUT if len(names) == 2 else None
        shape, kind = inputs[0].shape, inputs[0].type
        if len(shape) != 4 or shape[1] != 3 or kind != "tensor(float)":
            raise breach(path, f"an input of {kind} {shape}")
        batch, height, width = shape[0], shape[2], shape[3]
        if isinstance(batch, int) and batch != 1:
            raise breach(path, f"a batch fixed at {batch}")
        if isinstance(height, int) != isinstance(width, int):
            raise breach(path, f"an input with one fixed side: {shape}")
        if isinstance(height, int) and not all(1 <= side <= _MAX_SIDE for side in (height, width)):
            raise breach(path, f"an input of {width}x{height} pixels, sides are 1 to {_MAX_SIDE}")
        for output in outputs:
            if output.type != "tensor(float)":
                raise breach(path, f"an output {output.name[:80]} of {output.type[:80]}")
        fixed = (int(width), int(height)) if isinstance(height, int) else None
        meta: dict[str, str] = session.get_modelmeta().custom_metadata_map
        multiple = _number(path, meta, "size_multiple", 1, 512) or _DEFAULT_MULTIPLE
        width, height = (_number(path, meta, f"default_{side}", 1, _MAX_SIDE) for side in ("width", "height"))
        return cls(
            path=path,
            input_name=inputs[0].name,
            input_dimensions=tuple(side if isinstance(side, str) else None for side in shape),
            output_name=next(name for name in names if name != gaze_name),
            batch_size=1 if batch == 1 else DEFAULT_BATCH_SIZE,
            fixed=fixed,
            multiple=multiple,
            pixels=(width or _DEFAULT_SIZE[0]) * (height or _DEFAULT_SIZE[1]),
            gaze_name=gaze_name,
            attention=_attention(path, meta.get(ATTENTION_KEY)),
        )

    def input_size(self, aspect: float | Fraction) -> InputSize:
        """The input size for a picture with the displayed width / height ``aspect``."""
        return InputSize.fit(float(aspect), self.fixed, self.multiple, self.pixels)


def _number(path: Path, meta: dict[str, str], name: str, low: int, high: int) -> int | None:
    """The whole number in the metadata entry ``gpu_saliency.NAME``; ``None`` where there is none. Raises `ModelError`."""
    text = meta.get(f"gpu_saliency.{name}")
    if text is None:
        return None
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise breach(path, f"metadata gpu_saliency.{name} {text[:40]!r}, not {low} to {high}")
    return int(text)


def _attention(path: Path, text: str | None) -> AttentionCurve | None:
    try:
        return None if text is None else AttentionCurve.parse(text)
    except ValueError as error:
        raise breach(path, f"metadata {ATTENTION_KEY}: {first_line(error)}") from error


def breach(path: Path, found: str) -> ModelError:
    """Build the `ModelError` for a model that breaks the contract; ``found`` describes the part that does."""
    return ModelError(
        f"{path}: breaks the model contract: {found}",
        cure="give a model with input float32 [N,3,H,W] and output float32 [N,1,H,W] in 0..1; see docs/model-contract.md",
    )


def first_line(error: Exception) -> str:
    """The first line of an error's text, up to 300 characters; texts of ONNX Runtime can be pages long."""
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
