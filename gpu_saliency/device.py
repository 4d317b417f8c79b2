"""Where frames are decoded and maps are made. CPU and GPU stand side by side behind `Device`, chosen once, by a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.clip import Clip
from gpu_saliency.decode import DecodeTally, FrameBatch, decode_batches
from gpu_saliency.errors import ToolMissingError, UsageError
from gpu_saliency.model import InputSize, SaliencyModel, normalise
from gpu_saliency.sampling import Sampling

# BT.709 luma weights, on R'G'B'. Only differences of this luma are used, so the source's own matrix does not matter.
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32) / 255


class Device(Protocol):
    """What a device must offer; batches stay where the device keeps them."""

    name: str

    def load_model(self, path: Path) -> SaliencyModel: ...

    def decode(
        self, clip: Clip, sampling: Sampling, size: InputSize, batch_size: int, tally: DecodeTally
    ) -> Iterator[FrameBatch]: ...

    def preprocess(self, batch: FrameBatch, size: InputSize) -> NDArray[np.float32]:
        """``[N, 3, H, W]`` for the model."""
        ...

    def luma(self, batch: FrameBatch) -> NDArray[np.float32]:
        """``[N, h, w]`` in 0..1."""
        ...


class CpuDevice:
    """libavcodec, libswscale, numpy and ONNX Runtime's CPU provider."""

    name = "cpu"

    def load_model(self, path: Path) -> SaliencyModel:
        return SaliencyModel(path, providers=("CPUExecutionProvider",))

    def decode(self, clip: Clip, sampling: Sampling, size: InputSize, batch_size: int, tally: DecodeTally) -> Iterator[FrameBatch]:
        return decode_batches(clip, sampling, size.content, batch_size, tally)

    def preprocess(self, batch: FrameBatch, size: InputSize) -> NDArray[np.float32]:
        return normalise(batch.rgb, size.padded)

    def luma(self, batch: FrameBatch) -> NDArray[np.float32]:
        return np.asarray(batch.rgb @ _LUMA, np.float32)


def _no_cuda() -> Device:
    raise ToolMissingError("--device cuda: this version has no CUDA backend", cure="use --device cpu or auto")


DEVICES: dict[str, Callable[[], Device]] = {"cpu": CpuDevice, "cuda": _no_cuda}


def choose_device(name: str = "auto") -> tuple[Device, str]:
    """The device, and why it was chosen.

    ``cpu`` and ``cuda`` are what they say or a `ToolMissingError`; only ``auto`` falls back, and says so.
    """
    if name in DEVICES:
        return DEVICES[name](), "asked for"
    if name != "auto":
        raise UsageError(f"--device {name}: unknown", cure="auto, " + ", ".join(DEVICES))
    try:
        return DEVICES["cuda"](), "found by auto"
    except ToolMissingError as error:
        return CpuDevice(), f"auto: {error.message.removeprefix('--device cuda: ')}"
