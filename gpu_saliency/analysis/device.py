"""The interfaces of devices: `Device` loads a `Model` and starts a `Run`, the analysis of one clip."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av

from gpu_saliency.analysis.track import Reducer, SaliencyTrack, Samples
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import InputSize
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.shortfall import Shortfall


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
    """The track of a clip and facts about its analysis. Produced by `Run.finish`, kept in the sidecar."""

    track: SaliencyTrack
    corrupt_packets: int | None
    """Packets that could not be decoded; ``None`` where the decoder conceals errors and does not report their number."""
    variable_frame_rate: bool
    facts: dict[str, Any] = field(default_factory=dict)
    """For the sidecar: ``decoder``, ``decoder_reason`` and further facts that the device reports."""
    shortfall: Shortfall | None = None
    """Why the clip is incomplete or damaged; ``None`` if nothing shows that."""
    frame_formats: tuple[str, ...] = ()
    """Size and pixel format of the frames, such as ``1280x720 yuv420p``, each that occurs; empty where the device does not look."""


class DeviceMemoryError(Exception):
    """A device ran out of memory during a run."""


class Run(Protocol):
    """The analysis of one clip on one device. Batches and maps stay in the device's memory."""

    @property
    def notice(self) -> str | None:
        """A message for the user if the run differs from the request, such as decoding on the CPU; else ``None``."""
        ...

    def batches(self) -> Generator[Any, None, None]:
        """Yield the batches of the clip, decoded, sampled and preprocessed in threads that run ahead of the consumer."""
        ...

    def infer(self, batch: Any) -> Any:
        """Run the model on ``batch``; returns the maps."""
        ...

    def add(self, batch: Any, maps: Any) -> int:
        """Reduce ``maps`` and the pictures of ``batch`` to the block grid and store them. Returns the number of frames done."""
        ...

    def latest(self) -> tuple[Samples, DecodeTally | None] | None:
        """The samples that the last call of `add` stored, and the decoder's tally; ``None`` where samples stay on the device."""
        ...

    def retry_smaller(self, error: DeviceMemoryError) -> str:
        """Prepare a new call of `batches` that needs less memory, with smaller batches; returns a message for the user.

        Raises `ToolMissingError` where batches cannot be made smaller.
        """
        ...

    def finish(self) -> AnalysisResult: ...


@dataclass(frozen=True, slots=True)
class LiveSample:
    """The sample of one frame of a live source. Produced by `LiveRun.add`."""

    samples: Samples
    """Of one frame, in host memory."""
    resident: Any = None
    """The same on the device, for `LiveRun.reducer`; ``None`` where the host has the only copy."""


class LiveRun(Protocol):
    """The analysis of a live source on one device, frame by frame; frames are decoded on the host."""

    def add(self, number: int, frame: av.VideoFrame) -> LiveSample:
        """Analyse ``frame``, number ``number`` of the source and later than the one before. Raises `GpuSaliencyError`."""
        ...

    def reducer(self, kept: Sequence[LiveSample]) -> Reducer | None:
        """The reducer of the track of ``kept``, samples of this run in order; ``None`` where the host reduces."""
        ...


class Device(Protocol):
    """Loads models and starts runs."""

    name: str

    def load_model(self, path: Path) -> Model: ...

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> Run: ...

    def start_live(self, clip: Clip, model: Model) -> LiveRun: ...
