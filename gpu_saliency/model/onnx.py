"""Runs a saliency model on the CPU in an ONNX Runtime session; every output is checked against the contract."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import ModelError
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    TOLERANCE,
    InputSize,
    ModelContract,
    breach,
    first_line,
)
from gpu_saliency.model.file import ModelFile
from gpu_saliency.model.maps import Maps
from gpu_saliency.model.memory import EXHAUSTED, limit_memory
from gpu_saliency.model.runtime import import_onnxruntime
from gpu_saliency.model.trial import memory_limit, try_model

RUN_SECONDS = 120.0
"""Longest inference of a batch by a model that does not come with the package; ONNX Runtime ends it between two nodes."""
_GIVE_A_MODEL = "give a model that keeps docs/model-contract.md"


class SaliencyModel:
    """An ONNX saliency model in a session. Calling it turns pictures ``[N, 3, H, W]`` into their `Maps`."""

    def __init__(
        self, path: str | os.PathLike[str], *, providers: tuple[str, ...] = ("CPUExecutionProvider",), threads: int = 0
    ) -> None:
        """Load ``path`` and check it with one inference. ``threads`` 0 uses half the usable cores; the decoder uses the others.

        A model that does not come with the package is tried in a child process first (trial.py). Raises `ModelError`, or
        `ToolMissingError` without ONNX Runtime.
        """
        self.path = Path(path)
        file = ModelFile.read(self.path)
        self._facts, self._is_trusted = file.describe(), file.is_shipped
        if not self._is_trusted:
            try_model(file)
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or max(1, len(os.sched_getaffinity(0)) // 2)
        # Threads that spin while they wait occupy cores that the decoder needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        self._memory = None if self._is_trusted else memory_limit(file)
        if self._memory is not None:
            limit_memory(options, self._memory)
        try:
            self._session = ort.InferenceSession(file.data, options, providers=list(providers))
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise ModelError(f"{self.path}: is not a usable ONNX model: {first_line(error)}", cure=_GIVE_A_MODEL) from error
        self.provider: str = self._session.get_providers()[0]
        self.contract = ModelContract.read(self.path, self._session)
        count = 1 if self._is_trusted else self.batch_size
        self(np.zeros((count, 3, *self.input_size(16 / 9).padded[::-1]), np.float32))

    @property
    def batch_size(self) -> int:
        """Samples per inference."""
        return self.contract.batch_size

    def input_size(self, aspect: float | Fraction) -> InputSize:
        """The input size for a picture with the displayed width / height ``aspect``."""
        return self.contract.input_size(aspect)

    @property
    def attention(self) -> AttentionCurve | None:
        """The curve in the model's metadata."""
        return self.contract.attention

    def __call__(self, pixels: NDArray[np.float32]) -> Maps:
        """Compute the maps of ``pixels`` ``[N, 3, H, W]``. Raises `ModelError` if they break the contract."""
        step = self.batch_size if self.batch_size == 1 else len(pixels)
        parts = [self._run(pixels[i : i + step]) for i in range(0, len(pixels), step)]
        saliency, *gaze = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return Maps(saliency, *gaze)

    def _run(self, pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """``[N, H, W]`` of each output of the contract."""
        names = self.contract.output_names
        try:
            with self._time_limit() as options:
                found = self._session.run(names, {self.contract.input_name: pixels}, options)
        except Exception as error:  # as in the constructor
            reason = first_line(error)
            if self._memory is not None and EXHAUSTED in str(error):
                reason = f"it needs more than {self._memory / (1 << 30):.1f} GiB of memory"
            problem = f"{self.path}: failed on input {list(pixels.shape)}: {reason}"
            raise ModelError(problem, cure=_GIVE_A_MODEL) from error
        return [self._checked(name, maps, pixels) for name, maps in zip(names, found, strict=True)]

    @contextmanager
    def _time_limit(self) -> Iterator[Any]:
        """Options for a run that ends with an error after `RUN_SECONDS`; ``None`` for the shipped models.

        What a model computes may depend on the pictures, so that the trial on zeros does not tell how long it takes.
        """
        if self._is_trusted:
            yield None
            return
        options = import_onnxruntime().RunOptions()
        timer = threading.Timer(RUN_SECONDS, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            yield options
        finally:
            timer.cancel()

    def _checked(self, name: str, maps: Any, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output ``name`` as ``[N, H, W]``, clipped to 0..1. Raises `ModelError`."""
        expected = (len(pixels), 1, *pixels.shape[2:])
        if not isinstance(maps, np.ndarray) or maps.shape != expected or maps.dtype != np.float32:
            found = f"{maps.dtype} {list(maps.shape)}" if isinstance(maps, np.ndarray) else type(maps).__name__
            raise breach(self.path, f"{name} of {found} for an input of {list(pixels.shape)}")
        low, high = float(maps.min()), float(maps.max())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # also refuses nan
            raise breach(self.path, f"values of {name} in {low:g} .. {high:g}, not in 0 .. 1")
        clipped: NDArray[np.float32] = np.clip(maps[:, 0], 0, 1)
        return clipped

    def describe(self) -> dict[str, Any]:
        """Name and SHA-256 of the model, for results and sidecars."""
        return dict(self._facts)


def normalise(rgb: NDArray[np.uint8], padded: tuple[int, int]) -> NDArray[np.float32]:
    """Convert full-range R'G'B' ``[N, h, w, 3]`` to the model's input ``[N, 3, H, W]``: ``(rgb / 255 - mean) / std``.

    ``padded`` is the input's size (W, H); the last column and row are repeated to fill it.
    """
    count, height, width, _ = rgb.shape
    pixels = np.empty((count, 3, padded[1], padded[0]), np.float32)
    inner = pixels[:, :, :height, :width]
    # One channel at a time into the final array: six times as fast as the same arithmetic broadcast over a transposed view.
    for channel, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):
        np.multiply(rgb[..., channel], 1 / (255 * std), out=inner[:, channel])
        inner[:, channel] -= mean / std
    pixels[:, :, :height, width:] = inner[..., -1:]
    pixels[:, :, height:] = pixels[:, :, height - 1 : height]
    return pixels
