"""`Stages`: the interface of a device for the benchmark, which runs each stage of the analysis separately."""

from __future__ import annotations

from typing import Any, Protocol

STAGES = ("decode", "preprocess", "infer", "whole")
"""Names of the stages in the order of the analysis; ``whole`` is the complete analysis, as in an encode."""


class Stages(Protocol):
    """The stages of the analysis of one clip on one device; each returns after its work has finished on the device."""

    def decode(self) -> int:
        """Decode the clip and measure scene changes; returns the number of frames."""
        ...

    def preprocess(self) -> int:
        """Shrink and normalise pictures that are already decoded; returns their number."""
        ...

    def infer(self) -> int:
        """Run the model on preprocessed batches; returns the number of pictures."""
        ...

    def whole(self) -> int:
        """Run the complete analysis of the clip; returns the number of frames."""
        ...

    def facts(self) -> dict[str, Any]:
        """Facts about the last `whole`, for results.

        They are ``decoder``, ``decoder_reason``, ``bytes_to_device``, ``bytes_to_host`` and ``device_peak_bytes``, each ``None`` if
        it does not apply to the device; ``cuda`` adds ``decoders``.
        """
        ...
