"""The channel ``addroi``: ffmpeg's filter ``addroi`` attaches regions to frames; libx264, libx265, libvpx, QSV and VAAPI read them.

libaom, SVT-AV1 and VVenC do not read them, NVENC in a patched ffmpeg only. `addroi_graph` builds the filters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gpu_saliency.encode.channels.addroi_graph import Scale, addroi_graph, filter_count
from gpu_saliency.encode.channels.base import OWN_FFMPEG, Channel, Delivery
from gpu_saliency.encode.ffmpeg import encoder_options
from gpu_saliency.encode.parts import Part, split_by_cost
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, setting
from gpu_saliency.plan.roi import RoiPlan

MAX_FILTERS = 3000
"""Filters in one graph; each part of a clip has its own graph, and costs a key frame and a start of the encoder.

Each activation of a filter scans the whole graph, so a frame costs ``4 ns * filters * filters in its chain`` and the set-up
``25 ns * filters ** 2``, on an AMD EPYC.
"""


def avc_range(bit_depth: int) -> int:
    """The QP range of H.264 and HEVC: a ``qoffset`` of 1 changes QP by this number."""
    return 51 + 6 * (bit_depth - 8)


@dataclass(frozen=True, slots=True)
class AddRoi(Channel):
    """The channel ``addroi``: regions with a ``qoffset``, as side data of frames."""

    qp_range: Callable[[int], int] = avc_range
    """Called with the bit depth; returns the steps of the encoder's quantiser scale for a ``qoffset`` of 1."""
    steps_per_qp: float = 1.0
    """Steps of that scale that have the same effect as one QP of H.264."""
    is_whole: bool = False
    """Whether ffmpeg's wrapper truncates offsets to whole steps; if so, this channel rounds them first."""
    keep_regions: Callable[[EncodeTarget], Params] | None = None
    """Returns the encoder parameters with which it uses regions; raises `UsageError` for settings with which it drops them."""
    switch: str = ""
    """Private option of the encoder in a patched ffmpeg, which turns regions on; without the option it reads none."""
    name: ClassVar[str] = "addroi"
    has_offsets: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if "addroi" not in target.ffmpeg.filters:
            return ToolMissingError(f"{target.ffmpeg.path}: has no filter addroi", cure=OWN_FFMPEG)
        if self.switch and self.switch not in encoder_options(target.ffmpeg.path, target.encoder):
            problem = f"{target.encoder} of this ffmpeg reads no regions: it has no option {self.switch}"
            return ToolMissingError(problem, cure=f"give a patched ffmpeg (VMAFx/pelorus) by {setting('ffmpeg_bin')}")
        return None

    def parameters(self, target: EncodeTarget) -> Params:
        return target.params if self.keep_regions is None else self.keep_regions(target)

    def split(self, plan: RoiPlan) -> list[Part]:
        # A segment also takes a trim, a setpts and its place in split and concat.
        costs = [filter_count(plan, segment) + 3 for segment in range(len(plan.segment_start))]
        return split_by_cost(plan, costs, MAX_FILTERS)

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        arguments = (f"-{self.switch}", "1") if self.switch else ()
        return Delivery(addroi_graph(plan, self.scale(target.bit_depth)), arguments=arguments)

    def scale(self, bit_depth: int) -> Scale:
        return Scale(self.qp_range(bit_depth), self.steps_per_qp, self.is_whole)
