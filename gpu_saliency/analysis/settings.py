"""The settings of the analysis and of the device ``cuda``, checked when they are created, without GPU libraries."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from gpu_saliency.choices import DeviceName
from gpu_saliency.errors import OutputError, UsageError, setting, unknown_choice
from gpu_saliency.model.shipped import DEFAULT_MODEL, find_model
from gpu_saliency.numerals import is_whole
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import KEYFRAME, Sampling

PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
"""ONNX Runtime's name of a provider, by the name that users give."""
NO_DRIVER = "there is no NVIDIA driver"
"""Why ``auto`` takes the CPU on machines without an NVIDIA GPU; not worth a message."""
DEVICE_NAMES = ("cpu", "cuda")
MAP_KINDS = ("saliency", "gaze")
"""What given maps can hold."""
MAX_GPUS = 64
MAX_DECODERS = 64


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """The settings of the device ``cuda``. Raises `UsageError` when a value is out of range."""

    gpus: tuple[int, ...] = (0,)
    """CUDA's numbers of the GPUs to use; the ranges of the clip are distributed over them."""
    decoders: str = "1"
    """Decoders on each GPU: a number, ``auto`` (one for each NVDEC engine), or ``cpu``: decode on the CPU and upload."""
    provider: str = "cuda"
    """``cuda`` or ``tensorrt``."""
    batch_size: int = 0
    """Samples per inference; 0 takes the default. The device halves it when the GPU is out of memory."""
    exact: bool = True
    """Whether to infer in full float32. Otherwise ``cuda`` may use TF32 and ``tensorrt`` float16 where that is faster."""

    def __post_init__(self) -> None:
        if not self.gpus or len(set(self.gpus)) != len(self.gpus) or not all(0 <= gpu < MAX_GPUS for gpu in self.gpus):
            cure = f"give different numbers from 0 to {MAX_GPUS - 1}, such as 0,1"
            raise UsageError("is not a list of GPUs", setting="gpus", value=self.gpus, cure=cure)
        if self.decoders not in ("auto", "cpu"):
            text = self.decoders
            if not is_whole(text, 1, MAX_DECODERS):
                raise UsageError("unknown", setting="decoders", value=text, cure=f"auto, cpu, or a number from 1 to {MAX_DECODERS}")
        if self.provider not in PROVIDERS:
            raise unknown_choice("provider", self.provider, PROVIDERS)
        if not 0 <= self.batch_size <= 1024:
            raise UsageError("out of range", setting="batch_size", value=self.batch_size, cure="0 to 1024")


def parse_gpus(text: str) -> tuple[int, ...]:
    """Parse a list of GPU numbers such as ``0`` or ``0,1``. Raises `UsageError`."""
    numbers = text.split(",")
    if not all(is_whole(number, 0) for number in numbers):
        raise UsageError("is not a list of GPUs", setting="gpus", value=text, cure="give numbers, such as 0 or 0,1")
    return tuple(int(number) for number in numbers)


def check_device(name: str) -> None:
    """Raise `UsageError` unless ``name`` is ``auto``, ``cpu`` or ``cuda``."""
    if name != "auto" and name not in DEVICE_NAMES:
        raise UsageError("unknown", setting="device", value=name, cure="one of auto, " + ", ".join(DEVICE_NAMES))


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """The settings of the analysis. Raises `UsageError` when a value is out of range, `ModelError` for a withdrawn model."""

    model: str | os.PathLike[str] = DEFAULT_MODEL
    """Path of an ONNX file, or the name of a shipped model. The constructor replaces a name with the path of its file."""
    analysis_fps: Fraction | None = None
    """Maps per second of clip; ``None`` takes the default of `Sampling`, and accepts a sidecar of any rate."""
    every: int | str | None = None
    """Frames per map, or ``keyframe``: decode key frames only; cannot be combined with ``analysis_fps``."""
    device: DeviceName = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    gpu: GpuSettings = field(default_factory=GpuSettings)
    """The settings of the device ``cuda``; other devices ignore them."""
    maps: str | os.PathLike[str] | None = None
    """Given maps, which replace the model: a folder, picture, video, NPZ, NPY or JSON file (docs/own-maps.md)."""
    maps_kind: str | None = None
    """What the maps hold, ``saliency`` or ``gaze``; ``None``: what an NPZ file names, else ``saliency``."""
    cache: bool = False
    """Whether to take the maps of an earlier analysis from the cache folder, and to keep new ones there (docs/cache.md)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", find_model(os.fspath(self.model)))
        check_device(self.device)
        self._check_maps()
        # The legal values do not depend on the clip's frame rate, so any rate checks them.
        Sampling.choose(Fraction(1), analysis_fps=self.analysis_fps, every=self.every)
        if self.every == KEYFRAME:
            self._check_key_frames()

    def _check_key_frames(self) -> None:
        """Raise `UsageError` for settings that need every frame to be decoded, or another decoder."""
        if self.maps is not None:
            cure = f"leave {setting('every')} out: given maps have frames of their own"
            raise UsageError(f"contradicts {setting('maps')}", setting="every", value=self.every, cure=cure)
        if self.device == "cuda":
            cure = f"leave {setting('device')} out, or give a number of frames"
            problem = f"contradicts {setting('device', 'cuda')}: the CPU decodes them"
            raise UsageError(problem, setting="every", value=self.every, cure=cure)

    def _check_maps(self) -> None:
        if self.maps_kind is not None and self.maps_kind not in MAP_KINDS:
            raise unknown_choice("maps_kind", self.maps_kind, MAP_KINDS)
        if self.maps is None:
            if self.maps_kind is not None:
                cure = f"give {setting('maps')}, or leave {setting('maps_kind')} out"
                raise UsageError("has no effect without maps", setting="maps_kind", value=self.maps_kind, cure=cure)
            return
        unused = {"model": self.model_path != DEFAULT_MODEL, "device": self.device == "cuda", "gpu": self.gpu != GpuSettings()}
        for name in (name for name, given in unused.items() if given):
            cure = f"leave {setting('maps')} or {setting(name)} out"
            raise UsageError(f"contradicts {setting(name)}: no model runs", setting="maps", value=self.maps, cure=cure)

    def check_output(self, output: Path, name: str) -> None:
        """Raise `OutputError` if ``output``, the path of the setting ``name``, is the file of the given maps."""
        if self.maps is not None and Path(self.maps).exists() and output.exists() and output.samefile(self.maps):
            raise OutputError(f"{output}: is the file of the given maps", cure=f"give {setting(name)} another path")

    @property
    def model_path(self) -> Path:
        """The file of ``model``."""
        return Path(self.model)

    def sampling(self, clip: Clip) -> Sampling:
        """The rule that chooses the frames of ``clip`` that the model analyses."""
        return Sampling.choose(clip.frame_rate, analysis_fps=self.analysis_fps, every=self.every)
