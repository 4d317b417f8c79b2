"""The interfaces that every device implements: the device itself, its loaded model and its run over one clip."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from gpu_saliency.analysis.track import SaliencyTrack, Samples
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import InputSize
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.sampling import Sampling


class Model(Protocol):
    """A saliency model loaded on a device."""

    @property
    def provider(self) -> str: ...

    @property
    def batch_size(self) -> int: ...

    def input_size(self, aspect: float | Fraction) -> InputSize: ...

    @property
    def attention(self) -> AttentionCurve | None:
        """The curve in its metadata."""
        ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """The saliency of a clip and the facts of the run. Produced by `Run.finish`, kept in the sidecar."""

    track: SaliencyTrack
    corrupt_packets: int | None
    """``None`` where the decoder conceals them and does not report how many."""
    variable_frame_rate: bool
    facts: dict[str, Any] = field(default_factory=dict)
    """For the sidecar: ``decoder``, ``decoder_reason``, and what else the device reports."""


class DeviceMemoryError(Exception):
    """A device ran out of memory during a run."""


class Run(Protocol):
    """The analysis of one clip on one device. Batches and maps stay in the device's memory."""

    @property
    def notice(self) -> str | None:
        """A line for the user where the run differs from what the device promises, such as decoding on the CPU."""
        ...

    def batches(self) -> Generator[Any, None, None]:
        """Decode, sample and preprocess, in threads that run ahead of the consumer."""
        ...

    def infer(self, batch: Any) -> Any:
        """Run the model on ``batch``; returns its maps."""
        ...

    def add(self, batch: Any, maps: Any) -> int:
        """Reduce ``maps`` and the pictures of ``batch`` to block samples and keep these. Returns the number of frames done."""
        ...

    def latest(self) -> tuple[Samples, DecodeTally | None] | None:
        """The samples of the last call of `add` and the decoder's tally; ``None`` where the samples stay on the device."""
        ...

    def retry_smaller(self, error: DeviceMemoryError) -> str:
        """Prepare for another call of `batches` that needs less memory; returns a line for the user.

        Raises `ToolMissingError` where the run needs its least memory already.
        """
        ...

    def finish(self) -> AnalysisResult: ...


class Device(Protocol):
    """Loads models and starts runs."""

    name: str

    def load_model(self, path: Path) -> Model: ...

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> Run: ...
