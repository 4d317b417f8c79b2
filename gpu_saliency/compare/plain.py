"""`Plainly`: encodes without a plan, by the program and in the passes that an encode with the plan uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gpu_saliency.encode.channels.base import Channel, Delivery
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.plan.roi import RoiPlan


@dataclass(frozen=True, slots=True)
class Plainly(Channel):
    """Encodes without a plan, in one part, by the same program as ``channel``.

    A plain encode by ffmpeg alone would differ in more than the plan where the channel brings its own build of the encoder, or
    where a bit rate is reached in two passes.
    """

    channel: Channel | None
    name: ClassVar[str] = "none"

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        return Delivery() if self.channel is None else self.channel.deliver_plain(target, quality)
