"""Measures the gain of ROI encodes inside the object, the cost outside it, and the change of the size.

    python benchmarks/roi_gain.py --clips DIR [--model ONNX | --truth] [--crf libx264=23,32] [--offset -3] [--json OUT]

DIR holds the DAVIS clips and masks (benchmarks/davis.py). Each clip is encoded whole, with its plan and as a plain encode. PSNR is
from the mean squared luma error over all pixels inside (or outside) the true masks; a gain is ROI minus plain. ``found`` is the
overlap (IoU) of the blocks that the first segment improves with the blocks that are more than half object, so it stays below 1
if the object moves. ``--truth`` plans from the true masks instead of a model's saliency (rate shares stay those of the analysis).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from davis import davis_clips, masks_of, object_blocks, with_truth
from facts import about_run
from numpy.typing import NDArray
from rate_distortion import psnr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET, MAPPINGS, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof import prove_encode
from gpu_saliency.proof.judge import INSIDE_BELOW
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

DEFAULT_CRF = {"libx264": (23.0, 32.0), "libx265": (28.0, 36.0)}
FOUND_FROM = 0.2
"""Least overlap (IoU) at which the model counts as having found the object."""


@dataclass(frozen=True, slots=True)
class Row:
    """Result for one clip, encoder and CRF."""

    clip: str
    encoder: str
    crf: float
    plain_bytes: int
    size_percent: float
    """Size of the ROI encode relative to the plain encode."""
    inside_db: float
    outside_db: float
    """Change of luma PSNR; ``inside_db`` likewise."""
    found_iou: float
    unit: str
    correlation: float | None
    slope: float | None
    inside_change: float | None
    outside_change: float | None
    moved: bool | None


def found_iou(plan: RoiPlan, blocks: NDArray[np.float32]) -> float:
    """Intersection over union of the blocks that the first segment improves and the object blocks, over all frames."""
    improved = (plan.qp_offset[0] + plan.recentre[0]) < INSIDE_BELOW
    true = blocks > 0.5
    return float((true & improved).sum() / max(1, (true | improved).sum()))


def measure(clip: Clip, plan: RoiPlan, masks: list[NDArray[np.bool_]], encoder: str, crf: float) -> Row:
    """Encode with ``plan`` and plainly, and compare."""
    job = prepare_encode(clip, EncodeSettings(encoder=encoder, crf=crf, audio=False))
    with tempfile.TemporaryDirectory() as folder:
        plain, roi = Path(folder, "plain.mp4"), Path(folder, "roi.mp4")
        plain_bytes = run_saliency_encode(job, None, plain, frame_count=plan.frame_count).size_bytes
        roi_bytes = run_saliency_encode(job, plan, roi).size_bytes
        proof = prove_encode(job, plan, roi, max_frames=None, plain=plain)
        (in_plain, out_plain), (in_roi, out_roi) = psnr(clip, plain, masks), psnr(clip, roi, masks)
    return Row(
        clip=clip.path.stem.removeprefix("davis_"),
        encoder=encoder,
        crf=crf,
        plain_bytes=plain_bytes,
        size_percent=100 * (roi_bytes / plain_bytes - 1),
        inside_db=in_roi - in_plain,
        outside_db=out_roi - out_plain,
        found_iou=found_iou(plan, object_blocks(masks, clip)),
        unit=proof.unit,
        correlation=proof.correlation,
        slope=proof.slope,
        inside_change=proof.inside_change,
        outside_change=proof.outside_change,
        moved=proof.moved,
    )


def run(options: argparse.Namespace) -> list[Row]:
    rows = []
    policy = RoiPolicy(options.offset, options.mapping)
    analysis = AnalysisSettings(model=options.model)
    for path in track(davis_clips(options.clips), console=Console(stderr=True), description="clips"):
        clip, masks = probe_clip(path), masks_of(path)
        sidecar, _ = load_saliency_sidecar(clip, analysis)
        if options.truth:
            sidecar = with_truth(sidecar, object_blocks(masks, clip))
        plan = build_roi_plan(sidecar, policy)
        for encoder, crfs in options.crf.items():
            rows += [measure(clip, plan, masks, encoder, crf) for crf in crfs]
    return rows


def averages(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Means, largest size change and least correlation by encoder."""
    result = {}
    for encoder in dict.fromkeys(row.encoder for row in rows):
        own = [row for row in rows if row.encoder == encoder]
        columns = ("size_percent", "inside_db", "outside_db", "found_iou")
        summary = {name: float(np.mean([getattr(row, name) for row in own])) for name in columns}
        summary["size_percent_largest"] = max((row.size_percent for row in own), key=abs)
        summary["correlation_least"] = min((row.correlation for row in own if row.correlation is not None), default=float("nan"))
        result[encoder] = summary
    return result


def misses(rows: list[Row]) -> list[str]:
    """One sentence for each missed target."""
    found = []
    for row in rows:
        where = f"{row.clip} {row.encoder} crf {row.crf:g}"
        if row.inside_db <= 0:
            blame = "" if row.found_iou >= FOUND_FROM else f" (the plan misses the object, IoU {row.found_iou:.2f})"
            found.append(f"{where}: inside PSNR {row.inside_db:+.2f} dB{blame}")
        if abs(row.size_percent) > 10:
            found.append(f"{where}: size {row.size_percent:+.1f} %, more than 10 %")
        if row.unit == "QP" and (row.correlation is None or row.correlation < 0.8):
            found.append(f"{where}: correlation {row.correlation}, less than 0.8")
    for encoder, mean in averages(rows).items():
        if abs(mean["size_percent"]) > 5:
            found.append(f"{encoder}: size {mean['size_percent']:+.1f} % on average, more than 5 %")
    return found


def show(rows: list[Row], title: str, console: Console) -> None:
    table = Table(title=title)
    heads = ("clip", "encoder", "crf", "size %", "inside dB", "outside dB", "found", "realised in / out", "corr.", "slope")
    for head in heads:
        table.add_column(head, justify="left" if head in heads[:2] else "right", no_wrap=True)

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    for row in rows:
        realised = f"{number(row.inside_change, '+.2f')} / {number(row.outside_change, '+.2f')} {row.unit}"
        gain = (f"{row.size_percent:+.1f}", f"{row.inside_db:+.2f}", f"{row.outside_db:+.2f}", f"{row.found_iou:.2f}")
        proof = (realised, number(row.correlation, ".2f"), number(row.slope, ".2f"))
        table.add_row(row.clip, row.encoder, f"{row.crf:g}", *gain, *proof)
    for encoder, mean in averages(rows).items():
        forms = {"size_percent": "+.1f", "inside_db": "+.2f", "outside_db": "+.2f", "found_iou": ".2f"}
        means = [format(mean[name], form) for name, form in forms.items()]
        table.add_row("average", encoder, "", *means, "", f">= {mean['correlation_least']:.2f}", "", style="bold")
    console.print(table)
    for line in misses(rows) or ["all targets are met"]:
        console.print(line, markup=False, highlight=False)


def parse_crf(given: list[str], encoders: list[str]) -> dict[str, tuple[float, ...]]:
    """CRFs by encoder: the defaults, overridden by options such as ``["libx264=23,32"]``."""
    asked = {name: tuple(map(float, values.split(","))) for name, _, values in (item.partition("=") for item in given)}
    return {encoder: asked.get(encoder, DEFAULT_CRF.get(encoder, ())) for encoder in encoders}


def about(options: argparse.Namespace) -> dict[str, Any]:
    """Date, machine, versions and options of the run, so that its figures can be reproduced."""
    return about_run() | {
        "saliency": "true masks" if options.truth else options.model.name,
        "mapping": options.mapping,
        "offset": options.offset,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--encoders", default="libx264,libx265")
    parser.add_argument("--crf", action="append", default=[], metavar="ENCODER=CRF,CRF")
    parser.add_argument("--mapping", choices=MAPPINGS, default=DEFAULT_MAPPING)
    parser.add_argument("--offset", type=int, default=DEFAULT_OFFSET)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.crf = parse_crf(options.crf, options.encoders.split(","))
    if not list(options.clips.glob("davis_*.mp4")):
        parser.error(f"--clips {options.clips}: no davis_*.mp4 found (give the folder that benchmarks/davis.py describes)")
    rows = run(options)
    facts = about(options)
    saliency = facts["saliency"]
    show(rows, f"ROI against plain encode: {options.mapping} {options.offset:+d}, {saliency}", Console(width=130))
    if options.json:
        table = [asdict(row) for row in rows]
        options.json.write_text(json.dumps(facts | {"averages": averages(rows), "misses": misses(rows), "rows": table}, indent=2))


if __name__ == "__main__":
    main()
