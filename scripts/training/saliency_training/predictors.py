"""Predictors to evaluate: ONNX models that follow the project's contract, and two untrained baselines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from gpu_saliency.model.contract import IMAGENET_MEAN, IMAGENET_STD
from saliency_training.packing import weights
from saliency_training.sessions import cpu_session

_RESIDUAL_SIDE = 64


class Predictor(Protocol):
    """Predicts a map ``[height, width]`` in 0..1 for a frame scaled to ``size`` (width, height), its aspect ignored."""

    def __call__(self, image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
        """The map at ``size``."""


def centre_gaussian(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:  # noqa: ARG001
    """Centre prior: a Gaussian with a sigma of a quarter of each side."""
    x, y = ((np.arange(side) + 0.5) / side - 0.5 for side in size)
    return np.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / (2 * 0.25**2)).astype(np.float32)


def spectral_residual(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    """Baseline of Hou and Zhang, "Saliency detection: a spectral residual approach" (CVPR 2007), at 64x64; peak 1."""
    grey = np.asarray(image.convert("L").resize((_RESIDUAL_SIDE, _RESIDUAL_SIDE), Image.Resampling.BILINEAR), np.float64) / 255
    spectrum = np.fft.fft2(grey)
    log_amplitude = np.log(np.abs(spectrum) + 1e-9)
    residual = log_amplitude - ndimage.uniform_filter(log_amplitude, 3, mode="nearest")
    raw = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = ndimage.gaussian_filter(raw, 2.5)
    return resize_map((smooth / smooth.max()).astype(np.float32), size)


def resize_map(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize to ``size`` (width, height), bilinear."""
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR), np.float32)


class OnnxPredictor:
    """Runs an ONNX model: input float32 ``[N, 3, H, W]``, output ``[N, 1, H, W]`` in 0..1; N may be fixed at 1.

    ``output`` is the name of the output to return; ``None`` takes the first.
    """

    def __init__(self, path: Path, threads: int = 2, output: str | None = None) -> None:
        self.path, self.output = path, output
        self.session = self._session(threads)
        self.input = self.session.get_inputs()[0]
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)

    def _session(self, threads: int) -> ort.InferenceSession:
        return cpu_session(self.path, threads)

    @property
    def batch_limit(self) -> int | None:
        """The batch size if the model fixes it, else ``None``."""
        first = self.input.shape[0]
        return first if isinstance(first, int) else None

    @property
    def default_size(self) -> tuple[int, int] | None:
        """(width, height) from the file's metadata."""
        sides = [self.metadata.get(f"gpu_saliency.default_{side}") for side in ("width", "height")]
        return (int(sides[0]), int(sides[1])) if sides[0] and sides[1] else None

    def __call__(self, image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
        """The map at ``size``."""
        small = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        x = ((np.asarray(small, np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)[None]
        names = None if self.output is None else [self.output]
        output = self.session.run(names, {self.input.name: np.ascontiguousarray(x)})[0]
        return np.asarray(output[0, 0], np.float32)

    def gflop(self, size: tuple[int, int]) -> float:
        """GFLOP per frame in convolutions and matrix products; a multiply-add counts as two.

        The shapes come from one run of a graph that also outputs the result of every counted node.
        """
        model = onnx.load(str(self.path))
        shapes = {name: list(value.shape) for name, value in weights(model.graph).items()}
        counted = {n.output[0]: n for n in model.graph.node if n.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")}
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in counted)
        session = cpu_session(model.SerializeToString())
        values = session.run(list(counted), {self.input.name: np.zeros((1, 3, size[1], size[0]), np.float32)})
        macs = 0
        for node, value in zip(counted.values(), values, strict=True):
            shape = shapes[node.input[1]]
            # Conv: [out, in / groups, kh, kw]; Gemm and MatMul: one factor of the weight is the output's own width.
            outputs = shape[0] if node.op_type == "Conv" else value.shape[-1]
            if node.op_type == "ConvTranspose":
                # [in, out / groups, kh, kw], applied once per input pixel, which is one in stride_h x stride_w output pixels.
                stride = next((list(a.ints) for a in node.attribute if a.name == "strides"), [1, 1])
                outputs = value.shape[1] * int(np.prod(stride))
            macs += value.size * int(np.prod(shape)) // outputs
        return 2 * macs / 1e9

    def milliseconds(self, size: tuple[int, int], threads: int, batch: int = 8, repeats: int = 15) -> float:
        """Median wall milliseconds per frame in batches of ``batch``, or of the model's fixed batch size."""
        session = self._session(threads)
        count = self.batch_limit or batch
        x = np.random.default_rng(0).standard_normal((count, 3, size[1], size[0]), np.float32)
        times = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            for _ in range(max(1, batch // count)):
                session.run(None, {self.input.name: x})
            times.append((time.perf_counter() - began) / (count * max(1, batch // count)))
        return 1000 * float(np.median(times[1:]))
