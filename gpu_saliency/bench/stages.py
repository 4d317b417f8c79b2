"""What a device offers to be measured: each stage of its analysis of one clip, to be run alone."""

from __future__ import annotations

from typing import Any, Protocol

STAGES = ("decode", "preprocess", "infer", "whole")
"""In the order of a frame's way; ``whole`` is all of them together, as an encode runs them."""


class Stages(Protocol):
    """One clip on one device. Each stage returns when its work is done on every device that takes part, and not before."""

    def decode(self) -> int:
        """Decode the clip, and find its scenes; the number of frames."""
        ...

    def preprocess(self) -> int:
        """Shrink and normalise pictures that lie decoded where the decoder leaves them; how many."""
        ...

    def infer(self) -> int:
        """Run the model on batches that lie where it reads them; the number of pictures."""
        ...

    def whole(self) -> int:
        """Analyse the clip; the number of frames."""
        ...

    def facts(self) -> dict[str, Any]:
        """Of the last `whole`: ``decoder``, ``decoder_reason``, ``provider``, ``bytes_to_device``, ``bytes_to_host``,
        ``device_peak_bytes``; ``None`` for what the device does not have."""
        ...
