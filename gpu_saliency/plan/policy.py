"""`RoiPolicy`: the settings from which a plan is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpu_saliency.analysis.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA, check_aggregator
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.segments import DEFAULT_SEGMENTS, check_segments

DEFAULT_OFFSET = -3


MAX_OFFSET = 12


MAPPINGS = ("balanced", "symmetric")


DEFAULT_MAPPING = "balanced"


@dataclass(frozen=True, slots=True)
class RoiPolicy:
    """The settings from which a plan is made. Raises `UsageError` when a setting is out of range."""

    offset: int = DEFAULT_OFFSET
    """QP offset of the most salient blocks, -12..12; negative is better quality."""
    mapping: str = DEFAULT_MAPPING
    aggregator: str = DEFAULT_AGGREGATOR
    """The rule that reduces the maps of a segment to one."""
    ema_alpha: float = DEFAULT_EMA_ALPHA
    """Weight of the current map in the aggregator ``ema``, (0, 1]."""
    segments: str = DEFAULT_SEGMENTS
    """``auto``, ``clip`` (one segment), or the number of segments."""

    def __post_init__(self) -> None:
        if not -MAX_OFFSET <= self.offset <= MAX_OFFSET:
            raise UsageError("out of range", setting="offset", value=self.offset, cure=f"-{MAX_OFFSET} to {MAX_OFFSET}")
        if self.mapping not in MAPPINGS:
            raise UsageError("unknown", setting="mapping", value=self.mapping, cure="one of " + ", ".join(MAPPINGS))
        check_aggregator(self.aggregator, self.ema_alpha)
        check_segments(self.segments)

    def to_json(self) -> dict[str, Any]:
        """The settings in the form that results and sidecars store."""
        return {
            "offset": self.offset,
            "mapping": self.mapping,
            "aggregator": self.aggregator,
            "ema_alpha": self.ema_alpha,
            "asked_segments": self.segments,
        }
