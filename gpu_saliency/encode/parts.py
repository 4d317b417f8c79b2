"""Splits a clip into parts at segment boundaries of its plan; one run of the encoder encodes each part."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from gpu_saliency.plan.roi import RoiPlan


@dataclass(frozen=True, slots=True)
class Part:
    """Frames ``[start, end)`` of a clip."""

    start: int
    end: int

    @property
    def frames(self) -> int:
        return self.end - self.start


def split_by_cost(plan: RoiPlan, costs: Sequence[int], limit: int) -> list[Part]:
    """Group the segments of ``plan`` into parts of which the ``costs`` sum to at most ``limit``.

    A segment that costs more than ``limit`` is a part of its own. Each part begins with a key frame, which takes the fewest extra
    bits at the start of a scene; so a part ends early at a cut in its second half.
    """
    starts = plan.segment_start.tolist()
    cuts = set(plan.cuts)
    edges = [0]
    spent, scene = 0, None
    for segment, cost in enumerate(costs):
        if segment > edges[-1] and spent + cost > limit:
            edge = scene if scene is not None and scene > edges[-1] else segment
            edges.append(edge)
            spent, scene = sum(costs[edge:segment]), None
        if starts[segment] in cuts and spent >= limit / 2:
            scene = segment
        spent += cost
    frames = [starts[edge] for edge in edges] + [plan.frame_count]
    return [Part(start, end) for start, end in itertools.pairwise(frames)]


def whole(plan: RoiPlan) -> list[Part]:
    """The whole clip as one part."""
    return [Part(0, plan.frame_count)]


def on_grid(parts: Sequence[Part], keyint: int) -> list[Part]:
    """``parts`` with their bounds moved back to multiples of ``keyint`` frames, where key frames stand anyway."""
    edges = sorted({part.start // keyint * keyint for part in parts})
    return [Part(start, end) for start, end in itertools.pairwise([*edges, parts[-1].end])]
