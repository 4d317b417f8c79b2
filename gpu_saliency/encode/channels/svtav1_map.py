"""The program SvtAv1EncApp with ``--roi-map-file``: offsets for 64x64 blocks, a line for each change of plan.

SVT-AV1 spends more on a block with a negative offset and gains next to nothing by it, so only offsets of 0 and more are sent and
the base quality is lowered instead: the plan's best blocks get 0. A line holds at most 8 different values, the segments of an AV1
frame. With a target bit rate the encoder ignores the map. Measured with SVT-AV1 2.3; before 1.6 there was no such file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import FREE_SPACE, Channel, Delivery
from gpu_saliency.encode.channels.svtav1_program import PROGRAM, find_program
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, UsageError, setting
from gpu_saliency.files import writing
from gpu_saliency.grid import pool_blocks
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.clip import ColorTags

MAX_LEVELS = 8
MAX_DELTA = 255
_UNIT_BLOCKS = 4
"""16x16 blocks across a 64x64 one."""
DELTA_PER_QP = 8.0
"""Steps of AV1's quantiser index, 0..255, for one QP of the plan."""
SHIFT_PER_DELTA, SHIFT_POWER = 0.08, 1.15
"""Steps of CRF that pay for one step of the map in all of a picture."""


@dataclass(frozen=True, slots=True)
class SvtAv1Map(Channel):
    """The channel ``svtav1-map``."""

    name: ClassVar[str] = "svtav1-map"
    per_map: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if target.bitrate is not None:
            return UsageError(f"{PROGRAM}: ignores its ROI map when it keeps a bit rate", cure=f"use {setting('crf')}")
        if target.pix_fmt not in ("yuv420p", "yuv420p10le"):
            cure = f"convert the source to 4:2:0, or use {setting('roi_channel', 'prefilter')}"
            return UsageError(f"{PROGRAM}: takes 4:2:0 alone, not {target.pix_fmt}", cure=cure)
        try:
            find_program()
        except ToolMissingError as error:
            return error
        return None

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        return float(-SHIFT_PER_DELTA * mean_delta(plan) ** SHIFT_POWER)

    def deliver_plain(self, target: EncodeTarget, quality: float | None) -> Delivery:
        return Delivery(program=(*_command(target, quality), "-b"))

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        path = folder / "roi.map"
        with writing(path, cure=FREE_SPACE):
            path.write_text(map_text(plan), encoding="ascii")
        return Delivery(program=(*_command(target, quality), "--roi-map-file", str(path), "-b"))


def _command(target: EncodeTarget, quality: float | None) -> list[str]:
    command = [find_program(), "-i", "stdin", "--progress", "0", "--preset", str(target.preset), "--crf", f"{quality:g}"]
    return [*command, *_color_arguments(target.clip.color), *_param_arguments(target.params)]


def deltas(plan: RoiPlan, segment: int) -> NDArray[np.int64]:
    """Offsets of a segment, ``[rows64, cols64]``, 0..255, 0 the best; at most `MAX_LEVELS` different ones.

    A 64x64 block gets the offset of the best of its 16x16 blocks, so that no subject is worsened with its surroundings.
    """
    wanted = pool_blocks(plan.effective(segment), _UNIT_BLOCKS, "min")
    raised = np.clip(DELTA_PER_QP * (wanted - wanted.min()), 0, MAX_DELTA)
    steps = max(1.0, float(np.ceil(raised.max())))
    levels = np.rint(raised / steps * (MAX_LEVELS - 1))
    stepped: NDArray[np.int64] = np.rint(levels * steps / (MAX_LEVELS - 1)).astype(np.int64)
    return stepped


def mean_delta(plan: RoiPlan) -> float:
    """Mean offset of the map over the clip, 0..255, each block weighed by its share of a plain encode's bits."""
    spans = plan.segment_end - plan.segment_start
    means = [float((_full_size(deltas(plan, i), plan) * plan.rate_share(i)).sum()) for i in range(len(spans))]
    return float(np.average(means, weights=spans))


def map_text(plan: RoiPlan) -> str:
    """The map file of ``plan``: for each segment its first frame and its offsets in raster order."""
    lines = [
        f"{start} " + " ".join(map(str, deltas(plan, segment).ravel().tolist()))
        for segment, start in enumerate(plan.segment_start.tolist())
    ]
    return "\n".join(lines) + "\n"


def _full_size(units: NDArray[np.int64], plan: RoiPlan) -> NDArray[np.int64]:
    rows, cols = plan.qp_offset.shape[1:]
    return units.repeat(_UNIT_BLOCKS, axis=0)[:rows].repeat(_UNIT_BLOCKS, axis=1)[:, :cols]


def _color_arguments(color: ColorTags) -> list[str]:
    """The colour options that ffmpeg's wrapper would set; y4m carries no colour tags."""
    arguments = []
    for option, value in (
        ("--color-primaries", color.color_primaries),
        ("--transfer-characteristics", color.color_trc),
        ("--matrix-coefficients", color.colorspace),
    ):
        arguments += [option, str(value)] if value != 2 else []
    return [*arguments, "--color-range", "1"] if color.color_range == 2 else arguments


def _param_arguments(params: Params) -> list[str]:
    return [word for key, value in params.items() for word in (f"--{key}", value)]
