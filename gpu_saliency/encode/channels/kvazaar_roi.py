"""The channel ``kvazaar-roi``: a file with a grid of QP offsets for every frame, one offset per 64x64 coding tree unit.

For each frame the text has ``width height`` and the offsets in raster order, in whole QP (kvazaar --help, ``--roi``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from gpu_saliency.encode.channels.base import FREE_SPACE, Channel, Delivery
from gpu_saliency.encode.channels.escape import escape_param
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.errors import GpuSaliencyError, UsageError, setting
from gpu_saliency.files import writing
from gpu_saliency.grid import pool_blocks
from gpu_saliency.plan.roi import RoiPlan

_UNIT_BLOCKS = 4
"""Width of a coding tree unit in 16x16 blocks."""


@dataclass(frozen=True, slots=True)
class KvazaarRoi(Channel):
    """The channel ``kvazaar-roi``: Kvazaar's own file of QP offsets."""

    name: ClassVar[str] = "kvazaar-roi"
    per_map: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if target.bitrate is not None:
            return UsageError(f"{target.encoder}: with a bit rate its rate control sets QP itself", cure=f"use {setting('crf')}")
        return None

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        path = folder / "roi.txt"
        with writing(path, cure=FREE_SPACE):
            write_roi(path, plan)
        return Delivery(params={"roi": escape_param(str(path))})


def write_roi(path: Path, plan: RoiPlan) -> None:
    """Write Kvazaar's file with the offsets of every frame of ``plan``. Raises `OSError`."""
    with path.open("w", encoding="ascii") as file:
        for segment, (start, end) in enumerate(zip(plan.segment_start, plan.segment_end, strict=True)):
            units = np.rint(pool_blocks(plan.effective(segment), _UNIT_BLOCKS, "mean")).astype(int)
            rows, cols = units.shape
            text = f"{cols} {rows}\n" + "".join(" ".join(map(str, row)) + "\n" for row in units)
            file.write(text * int(end - start))
