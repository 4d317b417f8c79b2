"""`Dials`: the settings that a viewer of the preview can change, and the range of the base quality."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_saliency.errors import UsageError
from gpu_saliency.plan.policy import RoiPolicy


@dataclass(frozen=True, slots=True)
class Dials:
    """What a viewer asks for. Raises `UsageError` for a share out of range."""

    policy: RoiPolicy
    salient_bits: float | None = None
    """Share, 0..1, of the modelled bits for the most looked-at quarter of the blocks; it replaces the offset of ``policy``."""
    crf: float | None = None
    """Base quality of estimates, on the encoder's scale; ``None`` takes the start's."""

    def __post_init__(self) -> None:
        if self.salient_bits is not None and not 0 < self.salient_bits < 1:  # also refuses nan
            cure = "give a share between 0% and 100%, for example 40%"
            raise UsageError("out of range", setting="salient_bits", value=f"{self.salient_bits:.1%}", cure=cure)


@dataclass(frozen=True, slots=True)
class QualityDial:
    """The encoder of the estimates, and the range of its base quality."""

    encoder: str
    preset: str | None
    crf: float | None
    """Base quality at the start; ``None`` if the encoder has no known scale."""
    low: float
    high: float
    step: float | None
    """Least difference between two qualities; ``None`` if any number is accepted."""

    @property
    def name(self) -> str:
        """The encoder and its preset, for the user."""
        return self.encoder if self.preset is None else f"{self.encoder} {self.preset}"

    def check(self, crf: float | None) -> None:
        """Raise `UsageError` unless the encoder accepts the base quality ``crf``."""
        if crf is None:
            return
        if not self.low <= crf <= self.high:  # also refuses nan
            raise UsageError(f"out of range for {self.encoder}", setting="crf", value=crf, cure=f"{self.low:g} to {self.high:g}")
        if self.step is not None and crf % self.step:
            raise UsageError(f"{self.encoder} takes whole numbers only", setting="crf", value=crf, cure=f"give {round(crf)}")
