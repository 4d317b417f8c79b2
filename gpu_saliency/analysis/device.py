"""Where frames are decoded and maps are made. CPU and GPU stand side by side behind `Device`, chosen once, by a table."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from gpu_saliency.analysis.track import SaliencyTrack, Samples
from gpu_saliency.model.contract import InputSize
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.sampling import Sampling


class Model(Protocol):
    """A loaded model, of whatever device."""

    @property
    def provider(self) -> str: ...

    @property
    def batch_size(self) -> int: ...

    def input_size(self, aspect: float | Fraction) -> InputSize: ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a `Run` comes to."""

    track: SaliencyTrack
    corrupt_packets: int | None
    """``None`` where the decoder conceals them and does not say."""
    variable_frame_rate: bool
    facts: dict[str, Any] = field(default_factory=dict)
    """For the sidecar: ``decoder``, ``decoder_reason``, and what else the device has to say."""


class DeviceMemoryError(Exception):
    """A device ran out of memory in the midst of a run."""


class Run(Protocol):
    """One clip on its way over one device. Batches and maps stay where the device keeps them."""

    @property
    def notice(self) -> str | None:
        """What goes another way than one may expect of this device, for people."""
        ...

    def batches(self) -> Generator[Any, None, None]:
        """Decoded, sampled and preprocessed, by threads that run ahead."""
        ...

    def infer(self, batch: Any) -> Any:
        """The model's maps of a batch."""
        ...

    def record(self, batch: Any, maps: Any) -> int:
        """Reduce them to blocks and keep those; how many frames of the clip are done."""
        ...

    def latest(self) -> tuple[Samples, DecodeTally | None] | None:
        """What the last call of `record` added, for those who look while it runs; ``None`` where that stays on the device."""
        ...

    def retry_smaller(self, error: DeviceMemoryError) -> str:
        """Get ready to call `batches` again, with less memory; says how. Raises `ToolMissingError` when there is no less."""
        ...

    def finish(self) -> Found: ...


class Device(Protocol):
    """What a device must offer."""

    name: str

    def load_model(self, path: Path) -> Model: ...

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> Run: ...
