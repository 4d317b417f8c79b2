"""What a caller may ask of the analysis and of the device ``cuda``; checked here, without any GPU library."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from gpu_saliency.errors import UsageError
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling

PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
"""What the user picks, and ONNX Runtime's name for it."""
MAX_GPUS = 64
MAX_DECODERS = 64


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """How the device ``cuda`` is used. Raises `UsageError` when it is out of range."""

    gpus: tuple[int, ...] = (0,)
    """Numbers of the GPUs as CUDA counts them; the clip is spread over them."""
    decoders: str = "1"
    """Decoders on each GPU: a number, ``auto`` (as many as it has engines), or ``cpu``: decode on the CPU and upload."""
    provider: str = "cuda"
    """``cuda`` or ``tensorrt``."""
    batch_size: int = 0
    """Pictures per inference; 0 takes the default. Halved where the memory does not suffice."""
    exact: bool = True
    """Full float32. Otherwise ``cuda`` may use TF32 and ``tensorrt`` float16 where that is faster."""

    def __post_init__(self) -> None:
        if not self.gpus or len(set(self.gpus)) != len(self.gpus) or not all(0 <= gpu < MAX_GPUS for gpu in self.gpus):
            shown = ",".join(map(str, self.gpus))
            raise UsageError(f"--gpu {shown}: is not a list of GPUs", cure=f"different numbers of 0 to {MAX_GPUS - 1}, such as 0,1")
        if self.decoders not in ("auto", "cpu"):
            text = self.decoders
            if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_DECODERS):
                raise UsageError(f"--decoders {text}: unknown", cure=f"auto, cpu, or a number of 1 to {MAX_DECODERS}")
        if self.provider not in PROVIDERS:
            raise UsageError(f"--provider {self.provider}: unknown", cure="one of " + ", ".join(PROVIDERS))
        if not 0 <= self.batch_size <= 1024:
            raise UsageError(f"a batch of {self.batch_size}: out of range", cure="0 to 1024")


def parse_gpus(text: str) -> tuple[int, ...]:
    """``0`` or ``0,1`` to numbers. Raises `UsageError`."""
    numbers = text.split(",")
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise UsageError(f"--gpu {text}: is not a list of GPUs", cure="numbers, such as 0 or 0,1")
    return tuple(int(number) for number in numbers)


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """How saliency is found."""

    model: Path = DEFAULT_MODEL
    analysis_fps: Fraction | None = None
    """Maps per second of clip; ``None`` takes the default of `Sampling`, or any rate that a sidecar was made with."""
    every: int | None = None
    """Frames per map; excludes ``analysis_fps``."""
    device: str = "auto"
    gpu: GpuSettings = field(default_factory=GpuSettings)
    """How ``cuda`` is used where it is the device."""

    def sampling(self, clip: Clip) -> Sampling:
        """Raises `UsageError` when a rate is out of range."""
        return Sampling.choose(clip.frame_rate, analysis_fps=self.analysis_fps, every=self.every)
