"""Measures the whole frame's quality against plain encodes: VMAF v1 at the clip's own size, the NEG model before it, and PSNR.

    python benchmarks/whole_frame.py --clips DIR [--plan PLAN]... [--encoders libx264,libx265] [--crf libx264=22,28,34,40]
        [--only NAME,...] [--model ONNX] [--results FILE.jsonl] [--json OUT]

DIR holds the DAVIS clips and masks (benchmarks/davis.py); ``--only`` takes other .mp4 files of it too. Each clip is encoded whole
at four base qualities: plainly, and with each PLAN (benchmarks/named_plans.py; by default the product's defaults). Printed:

  VMAF, NEG, PSNR    change of the bits at equal quality in per cent (BD-rate by monotone cubics); negative is fewer bits
  NEG at size        change of VMAF v0.6.1 NEG in points at equal size: the mean over the sizes that both curves share
  inside, outside    change of the bits at equal luma PSNR inside and outside of the true masks, where a clip has masks
  size               change of the size at equal base quality

The targets are those of the default plan: VMAF at most -5 % on average and +2 % on any clip, NEG at equal size not lower by more
than 0.5 on average. Results are appended to FILE.jsonl as they are found; a rerun measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from davis import davis_clips, masks_of
from facts import about_run
from named_plans import parse_plan
from rate_distortion import bd_quality, bd_rate, psnr
from rich.console import Console
from rich.table import Table
from whole_encodes import PRESET, PRESETS, encode_whole, native_metrics

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.source.probe import probe_clip

PLAIN = "plain"
DEFAULT_PLAN = f"{DEFAULT_MAPPING}:{DEFAULT_OFFSET}"
CRF = {
    "libx264": (22.0, 28.0, 34.0, 40.0),
    "libx265": (24.0, 30.0, 36.0, 42.0),
    "libsvtav1": (30.0, 38.0, 46.0, 54.0),
    "libaom-av1": (28.0, 36.0, 44.0, 52.0),
    "libvvenc": (22.0, 27.0, 31.0, 36.0),
}
VMAF_TARGET, VMAF_WORST, NEG_TARGET = -5.0, 2.0, -0.5


@dataclass(frozen=True, slots=True)
class WholePoint:
    """Size and quality of one encode of a whole clip."""

    quality: float
    video_bytes: int
    vmaf: float
    """VMAF v1 at the clip's own size, pooled as ``score`` does."""
    vmaf_neg: float
    psnr_y: float
    cambi: float
    inside_db: float | None
    """Luma PSNR inside the true masks; ``None`` without masks, as is ``outside_db``."""
    outside_db: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One clip, encoded by one plan at every base quality."""

    clip: str
    encoder: str
    plan: str
    model: str
    points: list[WholePoint]

    @property
    def key(self) -> tuple[str, ...]:
        """What identifies a series: rows of earlier runs with the same key are reused."""
        return (self.clip, self.encoder, self.plan, self.model, *(f"{point.quality:g}" for point in self.points))


@dataclass(frozen=True, slots=True)
class Row:
    """A plan against the plain encodes; per cent, and points of NEG."""

    clip: str
    encoder: str
    plan: str
    vmaf_percent: float
    neg_percent: float
    psnr_percent: float
    neg_at_size: float
    inside_percent: float | None
    outside_percent: float | None
    size_percent: float


def points(job: EncodeJob, plan: RoiPlan, qualities: tuple[float, ...], masked: Path, *, plain: bool) -> list[WholePoint]:
    """Encode the clip of ``job`` at each base quality, with ``plan`` or as a plain encode, and score it."""
    masks = masks_of(masked)
    found = []
    for quality in qualities:
        with tempfile.TemporaryDirectory() as folder:
            output = encode_whole(job, plan, quality, Path(folder), plain=plain)
            metrics = native_metrics(job.clip, output)
            pooled = [metrics[name].pooled for name in ("vmaf", "vmaf_neg", "psnr_y", "cambi")]
            regions = psnr(job.clip, output, masks) if masks else (None, None)
            found.append(WholePoint(quality, video_bytes(output, plan.frame_count), *pooled, *regions))
    return found


def measure(path: Path, encoder: str, done: dict[tuple[str, ...], Series], options: argparse.Namespace) -> Iterator[Series]:
    """Yield the plain encodes of a clip and those by each plan, from ``done`` where it has them."""
    clip = probe_clip(path)
    sidecar, _ = load_saliency_sidecar(clip, AnalysisSettings(model=options.model))
    job = prepare_encode(clip, EncodeSettings(encoder, PRESETS.get(encoder, PRESET), audio=False)).timed_like(sidecar)
    qualities = options.crf[encoder]
    for name in (PLAIN, *options.plan):
        key = (path.stem, encoder, name, options.model.stem, *(f"{quality:g}" for quality in qualities))
        if key not in done:
            plan = parse_plan(DEFAULT_PLAN if name == PLAIN else name).make(job, sidecar)
            measured = points(job, plan, qualities, path, plain=name == PLAIN)
            done[key] = Series(path.stem, encoder, name, options.model.stem, measured)
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps(asdict(done[key])) + "\n")
        yield done[key]


def compare(plain: Series, other: Series) -> Row:
    a, b = plain.points, other.points
    masked = a[0].inside_db is not None
    vmaf, neg, whole = (bd_rate(a, b, name) for name in ("vmaf", "vmaf_neg", "psnr_y"))
    inside, outside = (bd_rate(a, b, name) if masked else None for name in ("inside_db", "outside_db"))
    size = float(np.mean([100 * (y.video_bytes / x.video_bytes - 1) for x, y in zip(a, b, strict=True)]))
    return Row(other.clip, other.encoder, other.plan, vmaf, neg, whole, bd_quality(a, b, "vmaf_neg"), inside, outside, size)


def averages(rows: list[Row]) -> list[Row]:
    """One mean row over all clips for each encoder and plan."""
    found = []
    for encoder, plan in dict.fromkeys((row.encoder, row.plan) for row in rows):
        own = [row for row in rows if (row.encoder, row.plan) == (encoder, plan)]
        means: dict[str, float | None] = {}
        for name in (
            "vmaf_percent",
            "neg_percent",
            "psnr_percent",
            "neg_at_size",
            "inside_percent",
            "outside_percent",
            "size_percent",
        ):
            values = [value for value in (getattr(row, name) for row in own) if value is not None]
            means[name] = float(np.mean(values)) if values else None
        found.append(Row("average", encoder, plan, **means))  # type: ignore[arg-type]
    return found


def misses(rows: list[Row]) -> list[str]:
    """One sentence for each target that a plan misses."""
    found = []
    for mean in averages(rows):
        name = f"{mean.encoder} {mean.plan}"
        if not mean.vmaf_percent <= VMAF_TARGET:
            found.append(f"{name}: {mean.vmaf_percent:+.1f} % at equal VMAF on average, the target is {VMAF_TARGET:+.0f} %")
        if not mean.neg_at_size >= NEG_TARGET:
            found.append(f"{name}: NEG {mean.neg_at_size:+.2f} at equal size on average, the target is {NEG_TARGET:+.1f}")
        for row in rows:
            if (row.encoder, row.plan) == (mean.encoder, mean.plan) and not row.vmaf_percent <= VMAF_WORST:
                found.append(f"{name} {row.clip}: {row.vmaf_percent:+.1f} % at equal VMAF, the limit is {VMAF_WORST:+.0f} %")
    return found


def show(rows: list[Row], console: Console) -> None:
    table = Table(title="Bits at equal quality, and NEG at equal size, against plain encodes")
    for head in ("encoder", "plan", "clip", "VMAF %", "NEG %", "PSNR %", "NEG at size", "inside %", "outside %", "size %"):
        table.add_column(head, justify="left" if head in ("encoder", "plan", "clip") else "right", no_wrap=True)
    for mean in averages(rows):
        own = [row for row in rows if (row.encoder, row.plan) == (mean.encoder, mean.plan)]
        for row in (*own, mean):
            rates = (row.vmaf_percent, row.neg_percent, row.psnr_percent)
            numbers = [*(f"{value:+.1f}" for value in rates), f"{row.neg_at_size:+.2f}"]
            last = (row.inside_percent, row.outside_percent, row.size_percent)
            numbers += ["" if value is None else f"{value:+.1f}" for value in last]
            table.add_row(row.encoder, row.plan, row.clip, *numbers, style="bold" if row is mean else "")
    console.print(table)
    for line in misses(rows) or ["all targets are met"]:
        console.print(line, markup=False, highlight=False)


def load(path: Path | None) -> dict[tuple[str, ...], Series]:
    """Series of earlier runs."""
    found = {}
    for line in path.read_text().splitlines() if path is not None and path.exists() else []:
        row: dict[str, Any] = json.loads(line)
        series = Series(**row | {"points": [WholePoint(**point) for point in row["points"]]})
        found[series.key] = series
    return found


def parse_crf(given: list[str], encoders: list[str]) -> dict[str, tuple[float, ...]]:
    """Base qualities by encoder: the defaults, overridden by options such as ``["libx264=23,28,33,38"]``."""
    asked = {name: tuple(map(float, values.split(","))) for name, _, values in (item.partition("=") for item in given)}
    return {encoder: asked.get(encoder) or CRF[encoder] for encoder in encoders}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of files without .mp4; by default every davis_*")
    parser.add_argument("--plan", action="append", metavar="PLAN")
    parser.add_argument("--encoders", type=lambda text: text.split(","), default=["libx264", "libx265"])
    parser.add_argument("--crf", action="append", default=[], metavar="ENCODER=CRF,CRF,...")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--results", type=Path, help="JSON Lines; holds earlier results, new ones are appended")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.plan = options.plan or [DEFAULT_PLAN]
    options.crf = parse_crf(options.crf, options.encoders)
    paths = [options.clips / f"{name}.mp4" for name in options.only] if options.only else davis_clips(options.clips)
    if not paths or not all(path.is_file() for path in paths):
        parser.error(f"--clips {options.clips}: no such .mp4 (give the folder that benchmarks/davis.py describes)")
    done = load(options.results)
    used: list[Series] = []
    rows: list[Row] = []
    for encoder in options.encoders:
        for path in paths:
            plain, *others = measure(path, encoder, done, options)
            used += (plain, *others)
            rows += [compare(plain, other) for other in others]
            print(
                "; ".join(f"{row.plan} {row.vmaf_percent:+.1f} %" for row in rows[-len(others) :]),
                path.stem,
                encoder,
                file=sys.stderr,
            )
            if options.json:
                facts = about_run() | {"model": options.model.stem, "preset": PRESET, "presets": PRESETS, "crf": options.crf}
                facts |= {"averages": [asdict(row) for row in averages(rows)], "rows": [asdict(row) for row in rows]}
                facts |= {"misses": misses(rows), "series": [asdict(series) for series in used]}
                options.json.write_text(json.dumps(facts, indent=1))
    show(rows, Console(width=150))


if __name__ == "__main__":
    main()
