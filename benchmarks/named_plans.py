"""Plans by name, so that a benchmark compares variants of the mapping in one run.

``MAPPING:OFFSET[:LIMIT][,KEY=VALUE]...`` such as ``attention:-3``, ``attention:-4:6,beta=0.4,floor=0.3`` or ``balanced:-3``. LIMIT
is --max-background-offset. MAPPING is one of the mappings, or ``saliency``: the mapping attention without the gaze map, as for
models with one output. ``beta``, ``object`` and ``floor`` replace those of the model's attention curve; ``segments`` is --segments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.errors import chosen
from gpu_saliency.plan.attention import DEFAULT_CURVE
from gpu_saliency.plan.policy import DEFAULT_MAX_BACKGROUND_OFFSET, MAPPINGS, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.plan.segments import DEFAULT_SEGMENTS

_CURVE_KEYS = ("beta", "object", "floor")


@dataclass(frozen=True, slots=True)
class NamedPlan:
    """A variant of the mapping. Produced by `parse_plan`."""

    name: str
    policy: RoiPolicy
    curve: dict[str, Any]
    """Fields of the attention curve to replace."""
    gaze: bool
    """Whether the plan uses the gaze map."""

    def make(self, job: EncodeJob, sidecar: Sidecar) -> RoiPlan:
        """The plan for ``job`` from the maps of ``sidecar``."""
        track = sidecar.track
        if not self.gaze:
            track = replace(track, gaze=None, reducer=None)
        if self.curve:
            track = replace(track, attention=replace(track.attention or DEFAULT_CURVE, **self.curve))
        return job.plan(replace(sidecar, track=track), self.policy)


def parse_plan(name: str) -> NamedPlan:
    """Raises `ValueError` or `UsageError` where ``name`` is no plan."""
    main, *pairs = name.split(",")
    kind, offset, *limit = main.split(":")
    if kind not in (*MAPPINGS, "saliency") or len(limit) > 1:
        raise ValueError(f"{name}: give MAPPING:OFFSET[:LIMIT], MAPPING one of saliency, {', '.join(MAPPINGS)}")
    changes = dict(pair.split("=") for pair in pairs)
    segments = changes.pop("segments", DEFAULT_SEGMENTS)
    if changes.keys() - set(_CURVE_KEYS):
        raise ValueError(f"{name}: the keys are {', '.join((*_CURVE_KEYS, 'segments'))}")
    policy = RoiPolicy(
        int(offset),
        "attention" if kind == "saliency" else chosen("mapping", kind, MAPPINGS),
        segments=segments,
        max_background_offset=float(limit[0]) if limit else DEFAULT_MAX_BACKGROUND_OFFSET,
    )
    return NamedPlan(name, policy, {key: float(value) for key, value in changes.items()}, kind != "saliency")
