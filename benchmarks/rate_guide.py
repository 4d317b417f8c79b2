"""Measures the cost of libaom's rate-guided delta-q when its file asks for no change.

    python benchmarks/rate_guide.py --clips DIR [--json OUT]

Errors of the rate estimate alone cost bits; this benchmark shows how many. DIR holds the DAVIS clips and masks
(benchmarks/davis.py). Printed: luma BD-rate inside and outside the true masks and the mean change of the size, against a plain
encode at three base qualities, for:

``off``         ``deltaq-mode=0``: no file, and libaom does not distribute bits over time
``estimate``    the file holds the estimated rate of each block; a perfect estimate would cost as much as ``off``
``neutral``     the file holds 0.6 of the estimate and puts the rest in the corner, as the channel does for a neutral plan
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from davis import davis_clips, masks_of
from rate_distortion import bd_rate, curve
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.compare.plain import Plainly
from gpu_saliency.encode.channels.base import Channel, Delivery
from gpu_saliency.encode.channels.escape import escape_param
from gpu_saliency.encode.channels.rate_guide import wanted_rates
from gpu_saliency.encode.channels.rates import estimate_rates, quantiser_step
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.probe import probe_clip

QUALITIES = (28, 36, 44)
KINDS = ("off", "estimate", "neutral")


@dataclass(frozen=True, slots=True)
class Neutral(Channel):
    """Rate-guided delta-q with one of the `KINDS` of files, none of which asks for an ROI."""

    kind: str
    name: ClassVar[str] = "neutral"

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        if self.kind == "off":
            return Delivery(params={"deltaq-mode": "0"})
        assert target.crf is not None
        rates = estimate_rates(target.clip, part, quantiser_step(target.crf))
        if self.kind == "neutral":
            rates = wanted_rates(rates, plan)
        path = folder / "rates.txt"
        np.savetxt(path, rates, "%.3f")
        params = {"deltaq-mode": "3", "enable-rate-guide-deltaq": "1", "rate-distribution-info": escape_param(str(path))}
        return Delivery(params=params)


@dataclass(frozen=True, slots=True)
class Row:
    """Result for one clip and one of the `KINDS`."""

    clip: str
    kind: str
    inside_percent: float
    outside_percent: float
    size_percent: float


def measure(path: Path) -> list[Row]:
    clip, masks = probe_clip(path), masks_of(path)
    sidecar, _ = load_saliency_sidecar(clip)
    job = prepare_encode(clip, EncodeSettings("libaom-av1", "6", audio=False)).timed_like(sidecar)
    plan = build_roi_plan(sidecar, RoiPolicy(offset=0, segments="clip"))
    plain = curve(replace(job, channel=Plainly(None)), plan, masks, QUALITIES, plain=True)
    rows = []
    for kind in KINDS:
        other = curve(replace(job, channel=Neutral(kind)), plan, masks, QUALITIES, plain=False)
        size = float(np.mean([100 * (b.video_bytes / a.video_bytes - 1) for a, b in zip(plain, other, strict=True)]))
        name = path.stem.removeprefix("davis_")
        rows.append(Row(name, kind, bd_rate(plain, other, "inside_db"), bd_rate(plain, other, "outside_db"), size))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [row for path in track(davis_clips(options.clips), console=Console(stderr=True)) for row in measure(path)]
    table = Table("clip", "file", "inside %", "outside %", "size %", title="libaom, cpu-used 6, rate-guided delta-q without an ROI")
    for kind in KINDS:
        own = [row for row in rows if row.kind == kind]
        means = np.mean([(row.inside_percent, row.outside_percent, row.size_percent) for row in own], axis=0).tolist()
        for row in (*own, Row("average", kind, *means)):
            numbers = (f"{value:+.1f}" for value in (row.inside_percent, row.outside_percent, row.size_percent))
            table.add_row(row.clip, row.kind, *numbers)
    Console(width=110).print(table)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
