"""The interface of channels, which pass an ROI plan to an encoder; they return data, so tests need not run ffmpeg."""

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
"""Cure for a channel's file that cannot be written; such files are written beside the output."""
OWN_FFMPEG = f"leave {setting('ffmpeg_bin')} out to use the bundled ffmpeg"
"""Cure for an ffmpeg that lacks a filter."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The additions of a channel to one run of an encoder; an empty delivery makes a plain encode."""

    filters: str = ""
    """Text of a filter graph with one open input and one open output, both in the encoder's pixel format."""
    params: Params = field(default_factory=dict)
    """Further parameters of the encoder."""
    arguments: tuple[str, ...] = ()
    """Further options of ffmpeg for the encoder."""
    program: tuple[str, ...] = ()
    """Command of an encoder outside ffmpeg that reads y4m from standard input; the run appends the path of the output."""


class Channel(ABC):
    """Passes a plan to an encoder. The default methods suit a channel that always works and changes no setting."""

    name: ClassVar[str]
    per_map: ClassVar[bool] = False
    """Whether new offsets cost no bits; automatic segments then give each map a segment of its own."""

    has_background: ClassVar[bool] = False
    """Whether it filters the background, by `EncodeTarget.background`."""

    has_offsets: ClassVar[bool] = False
    """Whether it passes on offsets in QP; then the mapping decides the size, and not a measured quality shift."""

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        """The error why this channel cannot be used for ``target`` on this machine; ``None`` if it can."""
        return None

    def parameters(self, target: EncodeTarget) -> Params:
        """The encoder parameters of ``target``, with those added that the encoder needs to use the plan.

        Raises `UsageError` for a setting of the user with which the encoder drops the plan.
        """
        return target.params

    def split(self, plan: RoiPlan) -> list[Part]:
        """The parts of ``plan``, one run of the encoder each, in order and without a gap."""
        return whole(plan)

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        """The number to add to the base quality, on the encoder's scale, to keep the size of a plain encode."""
        return 0.0

    def takes_quarters(self, target: EncodeTarget) -> bool | None:
        """Whether an encoder outside ffmpeg accepts quarters of a step of quality; ``None`` if the channel uses ffmpeg's."""
        return None

    def deliver(self, target: EncodeTarget, plan: RoiPlan | None, part: Part, folder: Path, quality: float | None) -> Delivery:
        """Prepare one run of the encoder, for ``part`` of ``plan``; ``None`` prepares a plain encode by the same encoder.

        ``quality`` is the base quality with this channel's shift, within the encoder's scale. Files are written to ``folder``.
        Raises `OutputError` when they cannot be written.
        """
        if plan is None:
            return self.deliver_plain(target, quality)
        return self.deliver_plan(target, plan.between(part.start, part.end), part, folder, quality)

    def deliver_plain(self, target: EncodeTarget, quality: float | None) -> Delivery:
        """Prepare a plain encode: `deliver` without a plan."""
        return Delivery()

    @abstractmethod
    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        """Prepare one run: `deliver` with the section of the plan for ``part``, renumbered from frame 0."""
