"""The interface of a device for the benchmark: runs each stage of the analysis of one clip alone."""

from __future__ import annotations

from typing import Any, Protocol

STAGES = ("decode", "preprocess", "infer", "whole")
"""In the order of the flow; ``whole`` is the complete analysis, as an encode runs it."""


class Stages(Protocol):
    """One clip on one device. Each stage returns only after its work has finished on the device."""

    def decode(self) -> int:
        """Decode the clip and measure scene changes; returns the number of frames."""
        ...

    def preprocess(self) -> int:
        """Shrink and normalise decoded pictures in the decoder's memory; returns their number."""
        ...

    def infer(self) -> int:
        """Run the model on preprocessed batches; returns the number of pictures."""
        ...

    def whole(self) -> int:
        """Analyse the clip; returns the number of frames."""
        ...

    def facts(self) -> dict[str, Any]:
        """The facts of the last `whole`: ``decoder``, ``decoder_reason``, ``provider``, ``bytes_to_device``, ``bytes_to_host``,
        ``device_peak_bytes``; ``None`` for facts that the device lacks."""
        ...
