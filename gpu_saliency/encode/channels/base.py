"""A channel passes an ROI plan to an encoder. It returns data, so that tests can check it without running ffmpeg."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gpu_saliency.encode.parts import Part, whole
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import GpuSaliencyError, setting
from gpu_saliency.plan.roi import RoiPlan

FREE_SPACE = f"free some space, or give {setting('output')} another disk"
"""The cure where a channel's file cannot be written: it lies beside the output."""
OWN_FFMPEG = f"leave {setting('ffmpeg_bin')} out to use the bundled ffmpeg"
"""The cure where the ffmpeg in use lacks a filter."""


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
    """Whether a change of plan costs nothing, so that by default each map becomes a segment of its own."""

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        """The reason why this channel cannot serve ``target`` on this machine; ``None`` if it can."""
        return None

    def parameters(self, target: EncodeTarget) -> Params:
        """The encoder parameters of ``target``, changed where the encoder would otherwise drop the plan.

        Raises `UsageError` for a setting with which the encoder drops the plan.
        """
        return target.params

    def split(self, plan: RoiPlan) -> list[Part]:
        """The parts of ``plan``, one run of the encoder each, in order and without a gap."""
        return whole(plan)

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        """The number to add to the base quality, on the encoder's scale, that keeps the size of a plain encode."""
        return 0.0

    def deliver(self, target: EncodeTarget, plan: RoiPlan | None, part: Part, folder: Path, quality: float | None) -> Delivery:
        """Prepare ``part`` of ``plan`` for one run of the encoder; ``None`` for a plain encode by the same encoder.

        ``quality`` is the base quality of ``target`` with this channel's shift, within the encoder's scale. Files go to ``folder``.
        Raises `OutputError` when they cannot be written.
        """
        if plan is None:
            return self.deliver_plain(target, quality)
        return self.deliver_plan(target, plan.between(part.start, part.end), part, folder, quality)

    def deliver_plain(self, target: EncodeTarget, quality: float | None) -> Delivery:
        """`deliver` without a plan."""
        return Delivery()

    @abstractmethod
    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        """`deliver` with the share of the plan that ``part`` encodes, its frames counted from 0."""
