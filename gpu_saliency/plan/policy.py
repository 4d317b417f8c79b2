"""`RoiPolicy`: the settings from which a plan is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from gpu_saliency.analysis.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA, check_aggregator
from gpu_saliency.choices import AggregatorName, MappingName
from gpu_saliency.errors import UsageError, unknown_choice
from gpu_saliency.plan.segments import DEFAULT_SEGMENTS, check_segments

DEFAULT_OFFSET = -3


MAX_OFFSET = 12


MAPPINGS: tuple[MappingName, ...] = get_args(MappingName)


DEFAULT_MAPPING: MappingName = "attention"


DEFAULT_MAX_BACKGROUND_OFFSET = 4.0


@dataclass(frozen=True, slots=True)
class RoiPolicy:
    """The settings from which a plan is made. Raises `UsageError` when a setting is out of range."""

    offset: float = DEFAULT_OFFSET
    """QP offset of the most salient blocks, -12..12; negative is better quality. For ``attention`` it is the nominal strength.

    Fractions are allowed: ``attention`` scales with them, the other mappings round each block's offset to whole QP."""
    mapping: MappingName = DEFAULT_MAPPING
    aggregator: AggregatorName = DEFAULT_AGGREGATOR
    """The rule that reduces the maps of a segment to one."""
    ema_alpha: float = DEFAULT_EMA_ALPHA
    """Weight of the current map in the aggregator ``ema``, (0, 1]."""
    segments: str = DEFAULT_SEGMENTS
    """``auto``, ``clip`` (one segment), or the number of segments."""
    max_background_offset: float = DEFAULT_MAX_BACKGROUND_OFFSET
    """Most QP that ``attention`` takes from any block, 0..12; 0 is the plain encode."""

    def __post_init__(self) -> None:
        if not -MAX_OFFSET <= self.offset <= MAX_OFFSET:
            raise UsageError("out of range", setting="offset", value=self.offset, cure=f"-{MAX_OFFSET} to {MAX_OFFSET}")
        if self.mapping not in MAPPINGS:
            raise unknown_choice("mapping", self.mapping, MAPPINGS)
        if not 0 <= self.max_background_offset <= MAX_OFFSET:  # also refuses nan
            value = self.max_background_offset
            raise UsageError("out of range", setting="max_background_offset", value=value, cure=f"0 to {MAX_OFFSET}")
        check_aggregator(self.aggregator, self.ema_alpha)
        check_segments(self.segments)

    @property
    def keeps_size(self) -> bool:
        """Whether the mapping is meant to keep the size of a plain encode."""
        return self.mapping != "symmetric"

    def to_json(self) -> dict[str, Any]:
        """The settings in the form that results and sidecars store."""
        return {
            "offset": int(self.offset) if self.offset == int(self.offset) else self.offset,
            "mapping": self.mapping,
            "aggregator": self.aggregator,
            "ema_alpha": self.ema_alpha,
            "asked_segments": self.segments,
            "max_background_offset": self.max_background_offset,
        }
