"""What a channel is: a way for a plan to reach an encoder, as data, so that it can be tested without running ffmpeg."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.parts import Part
from gpu_saliency.plan import RoiPlan

if TYPE_CHECKING:
    from gpu_saliency.job import EncodeJob

Params = dict[str, str]
"""An encoder's own parameters (``key=value:...``), parsed, in order."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a channel adds to one run of an encoder; an empty one makes a plain encode."""

    filters: str = ""
    """Text of a filter graph with one open input, the picture as the encoder takes it, and one open output."""
    params: Params = field(default_factory=dict)
    """Further parameters in the encoder's own words."""
    program: tuple[str, ...] = ()
    """An encoder outside ffmpeg: its command, which reads y4m on its standard input; the output's path is appended to it."""


class Channel(Protocol):
    """A way for a plan to reach an encoder."""

    @property
    def name(self) -> str: ...

    @property
    def per_map(self) -> bool:
        """Whether a change of plan costs nothing, so that by default each map becomes a segment of its own."""
        ...

    def obstacle(self, job: EncodeJob) -> GpuSaliencyError | None:
        """Why ``job`` cannot go this way on this machine; ``None`` if it can."""
        ...

    def split(self, plan: RoiPlan) -> list[Part]:
        """The runs of the encoder that ``plan`` takes, in order and without a gap."""
        ...

    def quality_shift(self, job: EncodeJob, plan: RoiPlan) -> float:
        """What is added to the base quality, in the encoder's own scale, so that the file stays as large as a plain encode's."""
        ...

    def deliver(self, job: EncodeJob, plan: RoiPlan | None, part: Part, folder: Path) -> Delivery:
        """Carry ``part`` of ``plan`` (``None``: encode plainly, by the same encoder); files go to ``folder``.

        Raises `OutputError` when they cannot be written.
        """
        ...


def escape_param(value: str) -> str:
    """``value`` inside a list ``key=value:key=value``, as libavutil reads one (av_get_token): for paths."""
    return "".join(f"\\{char}" if char in "\\':=," else char for char in value)
