"""Compares GPU analysis with CPU analysis of the same clips, and counts the bytes copied between host and GPU.

    python benchmarks/gpu_parity.py CLIP... [--seconds 4] [--decoders 1] [--json OUT]

The first ``--seconds`` of each clip are analysed on both devices. Printed: the mean, the 99.9th percentile and the maximum of the
difference of the saliency codes (0..255), the share of the default plan's blocks that differ, and their largest difference in QP.
The exit status is 1 if the maps differ by more than 1 code in the mean or 12 in the 99.9th percentile, the plans in more than 1 %
of their blocks or by more than one QP, or if cuts or time stamps differ. The two paths shrink pictures by different code (swscale,
kernels/), which alone gives 0.1 to 0.4 codes in the mean, 2 to 9 in the 99.9th percentile, and 0.3 to 0.7 % of the plan.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings, GpuSettings
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.choices import DeviceName
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

MEAN_CODES, HIGH_CODES = 1.0, 12.0
"""Limits in codes of 255 for the mean and the 99.9th percentile.

The kernels round a picture to 1 code of what swscale makes of it; the model enlarges that to 0.4 codes in the mean and 2 to 9 in
single places (the kernels built by g++ against swscale, tests/gpu/test_colour.py). What two builds of the same kernels make of one
picture has tighter limits: tests/gpu/test_kernels_cuda.py.
"""
PLAN_SHARE, PLAN_QP = 0.01, 1


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences between CPU and GPU for one clip; maxima and means in codes (0..255)."""

    clip: str
    decoder: str
    saliency_max: int
    saliency_high: float
    """99.9th percentile."""
    saliency_mean: float
    activity_max: int
    motion_max: float
    plan_share: float
    """Share of plan blocks that differ, 0..1."""
    plan_max: int
    same_frames: bool
    """Whether frames, samples, cuts and time stamps are equal."""
    bytes_to_host: int
    bytes_to_device: int
    track_bytes: int
    """Size of the track, the least that must be copied to the host."""

    @property
    def is_good(self) -> bool:
        is_plan_good = self.plan_share <= PLAN_SHARE and self.plan_max <= PLAN_QP
        are_maps_good = self.saliency_mean <= MEAN_CODES and self.saliency_high <= HIGH_CODES
        return are_maps_good and is_plan_good and self.same_frames


def compare(clip: Clip, decoders: str) -> Parity:
    cpu, cuda = (_analyse(clip, device, decoders) for device in ("cpu", "cuda"))
    a, b = cpu.track, cuda.track
    shapes = a.saliency.shape == b.saliency.shape
    same_pts = a.frame_pts is not None and b.frame_pts is not None and np.array_equal(a.frame_pts, b.frame_pts)
    same = shapes and np.array_equal(a.sample_frame, b.sample_frame) and a.cuts == b.cuts and same_pts
    if not shapes:
        raise SystemExit(f"{clip.path}: maps {a.saliency.shape} on the CPU, {b.saliency.shape} on the GPU")
    # Plans of the CPU's maps, of the GPU's maps reduced on the CPU, and of the GPU's maps reduced on the GPU.
    plans = [build_roi_plan(sidecar) for sidecar in (cpu, replace(cuda, track=replace(b, reducer=None)), cuda)]
    if not np.array_equal(plans[1].qp_offset, plans[2].qp_offset):
        raise SystemExit(f"{clip.path}: the GPU reducer gives another plan than the CPU reducer for the same maps")
    comparable = plans[0].qp_offset.shape == plans[1].qp_offset.shape
    differ = np.abs(plans[0].qp_offset.astype(int) - plans[1].qp_offset) if comparable else np.array([99])
    saliency = np.abs(a.saliency.astype(int) - b.saliency)
    facts = cuda.analysis.facts
    return Parity(
        clip=clip.path.name,
        decoder=str(facts.decoder),
        saliency_max=int(saliency.max()),
        saliency_high=float(np.quantile(saliency, 0.999)),
        saliency_mean=float(saliency.mean()),
        activity_max=int(np.abs(a.activity.astype(int) - b.activity).max()),
        motion_max=float(np.abs(a.motion - b.motion).max()),
        plan_share=float((differ > 0).mean()),
        plan_max=int(differ.max()),
        same_frames=bool(same),
        bytes_to_host=facts.copied_to_host_bytes or 0,
        bytes_to_device=facts.copied_to_device_bytes or 0,
        track_bytes=sum(one.nbytes for one in (b.saliency, b.gaze, b.activity, b.motion) if one is not None) + 4 * b.frame_count,
    )


def _analyse(clip: Clip, device: DeviceName, decoders: str) -> Sidecar:
    settings = AnalysisSettings(device=device, gpu=GpuSettings(decoders=decoders))
    return load_saliency_sidecar(clip, settings)[0]


def show(rows: list[Parity], console: Console) -> None:
    table = Table(title="GPU against CPU")
    heads = (
        "clip",
        "decoder",
        "map max",
        "99.9 %",
        "mean",
        "activity max",
        "plan differs",
        "plan max",
        "same frames",
        "to host",
        "track",
    )
    for head in heads:
        table.add_column(head, justify="left" if head in ("clip", "decoder") else "right", no_wrap=True)
    for row in rows:
        numbers = (
            str(row.saliency_max),
            f"{row.saliency_high:.1f}",
            f"{row.saliency_mean:.4f}",
            str(row.activity_max),
            f"{100 * row.plan_share:.3f} %",
        )
        ends = (f"{row.plan_max} QP", "yes" if row.same_frames else "NO", f"{row.bytes_to_host:,}", f"{row.track_bytes:,}")
        table.add_row(row.clip, row.decoder, *numbers, *ends, style="" if row.is_good else "red")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--decoders", default="1")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        rows = [compare(probe_clip(path, duration=options.seconds), options.decoders) for path in options.clips]
    except GpuSaliencyError as error:
        raise SystemExit(str(error)) from error
    if options.json:
        table: list[dict[str, Any]] = [asdict(row) | {"is_good": row.is_good} for row in rows]
        options.json.write_text(json.dumps(table, indent=1))
    show(rows, Console(width=140))
    sys.exit(0 if all(row.is_good for row in rows) else 1)


if __name__ == "__main__":
    main()
