"""How neutral libaom's rate-guided delta-q is when the file asks for nothing: what the estimate's errors alone cost.

    python benchmarks/rate_guide.py --clips DIR [--json OUT]

DIR holds the DAVIS clips and masks (benchmarks/davis.py). Against a plain encode, at three base qualities, luma BD-rate inside and
outside the true masks and the mean change of the size:

``off``         ``deltaq-mode=0``: libaom's own distribution of bits in time is off, and no file is given
``estimate``    the file holds the estimate of each block's rate as it is; a perfect estimate would cost nothing beyond ``off``
``neutral``     the file holds 0.6 of the estimate and the rest in the corner, as the channel writes it for blocks that gain nothing
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from davis import davis_clips, masks_of
from rate_distortion import Plainly, bd_rate, curve
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gpu_saliency.channels.base import Channel, Delivery, escape_param
from gpu_saliency.channels.rate_guide import estimate_rates, quantiser_step, wanted_rates
from gpu_saliency.clip import probe_clip
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.job import EncodeJob, EncodeSettings, prepare_encode
from gpu_saliency.parts import Part, whole
from gpu_saliency.plan import RoiPlan, RoiPolicy, build_roi_plan
from gpu_saliency.saliency import load_saliency_sidecar

QUALITIES = (28, 36, 44)
KINDS = ("off", "estimate", "neutral")


@dataclass(frozen=True, slots=True)
class Neutral:
    """Rate-guided delta-q with a file that asks for no ROI; a ``Channel``."""

    name: str
    per_map: bool = False

    def obstacle(self, job: EncodeJob) -> GpuSaliencyError | None:  # noqa: ARG002
        return None

    def split(self, plan: RoiPlan) -> list[Part]:
        return whole(plan)

    def quality_shift(self, job: EncodeJob, plan: RoiPlan) -> float:  # noqa: ARG002
        return 0.0

    def deliver(self, job: EncodeJob, plan: RoiPlan | None, part: Part, folder: Path) -> Delivery:
        if self.name == "off":
            return Delivery(params={"deltaq-mode": "0"})
        assert job.crf is not None
        assert plan is not None
        rates = estimate_rates(job.clip, part, quantiser_step(job.crf))
        if self.name == "neutral":
            rates = wanted_rates(rates, plan)
        path = folder / "rates.txt"
        np.savetxt(path, rates, "%.3f")
        params = {"deltaq-mode": "3", "enable-rate-guide-deltaq": "1", "rate-distribution-info": escape_param(str(path))}
        return Delivery(params=params)


@dataclass(frozen=True, slots=True)
class Row:
    """One clip and one kind of file."""

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
        channel: Channel = Neutral(kind)
        other = curve(replace(job, channel=channel), plan, masks, QUALITIES, plain=False)
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
