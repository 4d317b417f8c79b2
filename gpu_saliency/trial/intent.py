"""`Intent`: what an encode shall reach, instead of the numbers that reach it."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_saliency.errors import UsageError, setting

_MOST_VMAF = 100
_MOST_LOSS = 10
"""VMAF; the picture has visibly changed long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an encode shall reach. Raises `UsageError` when values are out of range or contradict each other."""

    target_vmaf: float | None = None
    """VMAF v1 of the whole frame, mean of the frames; the CRF is searched."""
    at_least: bool = False
    """Whether ``target_vmaf`` is a lower bound; otherwise the nearest step of the encoder's scale is taken."""
    target_size: int | None = None
    """Size of the output file in bytes, with audio; the bit rate is computed, or the CRF searched."""
    auto_offset: bool = False
    """Whether the strength of the plan is searched: the strongest that costs the whole frame at most ``max_vmaf_loss``."""
    max_vmaf_loss: float = 0.0
    """Most VMAF v1 that ``auto_offset`` may take from the whole frame, compared with a plain encode of equal size."""
    salient_bits: float | None = None
    """Share, 0..1, of the modelled bits that the most looked-at quarter of the blocks shall get; the strength is searched."""

    def __post_init__(self) -> None:
        self._check_ranges()
        if self.target_vmaf is not None and self.target_size is not None:
            raise _contradiction("target_vmaf", "target_size")
        if self.auto_offset and self.salient_bits is not None:
            raise _contradiction("salient_bits", "offset", "auto")
        for name, given, other, needed in (
            ("at_least", self.at_least, setting("target_vmaf"), self.target_vmaf is not None),
            ("max_vmaf_loss", self.max_vmaf_loss != 0, setting("offset", "auto"), self.auto_offset),
        ):
            if given and not needed:
                raise UsageError(f"applies to {other} only", setting=name, cure=f"leave it out, or give {other}")

    def _check_ranges(self) -> None:
        limits = (("target_vmaf", 1, _MOST_VMAF), ("max_vmaf_loss", 0, _MOST_LOSS))
        for name, low, high in limits:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:  # also refuses nan
                raise UsageError("out of range", setting=name, value=value, cure=f"{low} to {high}")
        if self.target_size is not None and self.target_size < 1:
            raise UsageError("out of range", setting="target_size", value=self.target_size, cure="give bytes, for example 10M")
        if self.salient_bits is not None and not 0 < self.salient_bits < 1:
            cure = "give a share between 0% and 100%, for example 40%"
            raise UsageError("out of range", setting="salient_bits", value=self.salient_bits, cure=cure)

    @property
    def target(self) -> str | None:
        """The setting that decides the quality, if any: ``target_vmaf`` or ``target_size``."""
        if self.target_vmaf is not None:
            return "target_vmaf"
        return None if self.target_size is None else "target_size"

    @property
    def is_given(self) -> bool:
        """Whether anything is left to find."""
        return self.target is not None or self.auto_offset or self.salient_bits is not None

    def refuse_plain(self, encoder: str) -> None:
        """Raise `UsageError` where a plain encode cannot serve this intent: a target needs trials with a channel."""
        if self.target is not None:
            cure = f"use an encoder that has one, or give {setting('crf')}"
            raise UsageError(f"needs an ROI channel, and {encoder} has none", setting=self.target, cure=cure)

    def check_with(self, *, crf: float | None, bitrate: int | None, offset_is_given: bool) -> None:
        """Raise `UsageError` where the encode's settings already state what this intent finds."""
        if self.target is not None and crf is not None:
            raise _contradiction(self.target, "crf")
        if self.target is not None and bitrate is not None:
            raise _contradiction(self.target, "bitrate")
        if self.auto_offset and bitrate is not None:
            cure = f"give {setting('target_size')} or {setting('crf')} instead of the bit rate"
            raise UsageError("is found at constant quality, not with a bit rate", setting="offset", value="auto", cure=cure)
        if self.salient_bits is not None and offset_is_given:
            raise _contradiction("salient_bits", "offset")


def _contradiction(one: str, other: str, value: str | None = None) -> UsageError:
    return UsageError(f"{setting(one)} and {setting(other, value)} cannot be combined", cure="give one of them")
