"""A channel passes an ROI plan to an encoder. It answers with data, so that tests can check it without running ffmpeg."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gpu_saliency.encode.parts import Part, whole
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.plan.roi import RoiPlan


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a channel adds to one run of an encoder; an empty one makes a plain encode."""

    filters: str = ""
    """Text of a filter graph with one open input, the picture as the encoder takes it, and one open output."""
    params: Params = field(default_factory=dict)
    """Further parameters of the encoder."""
    program: tuple[str, ...] = ()
    """Command of an encoder outside ffmpeg that reads y4m on standard input; the run appends the output's path to it."""


class Channel(ABC):
    """Passes a plan to an encoder. The defaults fit a channel that works everywhere and leaves quality and parameters alone."""

    name: ClassVar[str]
    per_map: ClassVar[bool] = False
    """Whether a change of plan is free of cost, so that by default each map becomes a segment of its own."""

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        """The reason why this channel cannot serve ``target`` on this machine; ``None`` if it can."""
        return None

    def parameters(self, target: EncodeTarget) -> Params:
        """The encoder parameters of ``target``, changed where the encoder would otherwise drop the plan.

        Raises `UsageError` for a setting with which the encoder drops the plan.
        """
        return target.params

    def split(self, plan: RoiPlan) -> list[Part]:
        """The parts that ``plan`` is encoded in, one run of the encoder each, in order and without a gap."""
        return whole(plan)

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        """The number to add to the base quality, on the encoder's scale, that keeps the size of a plain encode."""
        return 0.0

    @abstractmethod
    def deliver(self, target: EncodeTarget, plan: RoiPlan | None, part: Part, folder: Path, quality: float | None) -> Delivery:
        """Prepare ``part`` of ``plan`` for one run of the encoder; ``None`` for a plain encode by the same encoder.

        ``quality`` is the base quality of ``target`` with this channel's shift, within the encoder's scale. Files go to ``folder``.
        Raises `OutputError` when they cannot be written.
        """


def escape_param(value: str) -> str:
    """``value`` escaped inside a list ``key=value:key=value``, as libavutil reads one (av_get_token): for paths."""
    return "".join(f"\\{char}" if char in "\\':=," else char for char in value)
