"""What may be asked of the device ``cuda``; checked here, where no GPU library is needed."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_saliency.errors import UsageError

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
