"""`Stages`: the interface of a device for the benchmark, which runs each stage of the analysis separately."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gpu_saliency.model.contract import InputSize

STAGES = ("decode", "preprocess", "infer", "reduce", "whole")
"""Names of the stages in the order of the analysis; ``whole`` is the complete analysis, as in an encode."""
ONE_DECODER = "decode_one"
"""A further stage of a device with several decoders: one of them alone."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One run of a stage."""

    count: int
    """Frames for ``decode``, ``decode_one`` and ``whole``, samples for the others."""
    seconds: float
    """By the clock of the device: CUDA events on a GPU where only kernels run, else the host's clock."""
    host_seconds: float | None = None
    """What the host took to launch the work; ``None`` where ``seconds`` are the host's."""


class Stages(Protocol):
    """The stages of the analysis of one clip on one device; each returns after its work has finished on the device."""

    @property
    def names(self) -> tuple[str, ...]:
        """The stages to measure: `STAGES`, and `ONE_DECODER` where there are several decoders."""
        ...

    def decode(self) -> Timed:
        """Decode the clip and measure scene changes."""
        ...

    def decode_one(self) -> Timed:
        """The same with one decoder, on as much of the clip as is its part."""
        ...

    def preprocess(self) -> Timed:
        """Shrink and normalise pictures that are already decoded, in turn, too many for the caches."""
        ...

    def infer(self) -> Timed:
        """Run the model on preprocessed batches."""
        ...

    def infer_at(self, batch_size: int, size: InputSize) -> Timed:
        """Run the model on batches of another size, of noise."""
        ...

    def reduce(self) -> Timed:
        """Reduce maps and pictures to samples on the block grid."""
        ...

    def whole(self) -> Timed:
        """Run the complete analysis of the clip, by the host's clock."""
        ...

    def first_map(self) -> Timed:
        """Open the clip by its file name and compute its first batch of maps, up to their arrival on the host."""
        ...

    def facts(self) -> dict[str, Any]:
        """Facts about the last `whole`, for results.

        They are ``decoder``, ``decoder_reason``, ``bytes_to_device``, ``bytes_to_host`` and ``device_peak_bytes``, each ``None`` if
        it does not apply to the device; ``cuda`` adds ``decoders`` and ``ranges``.
        """
        ...


def timed(work: Callable[[], int]) -> Timed:
    """Run ``work``, which returns its count, by the host's clock."""
    started = time.perf_counter()
    count = work()
    return Timed(count, time.perf_counter() - started)
