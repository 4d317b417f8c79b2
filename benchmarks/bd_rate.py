"""Measures BD-rate inside and outside the true masks for each encoder, with the model's plan and with the true plan.

    python benchmarks/bd_rate.py --clips DIR [--encoders libx264,libaom-av1/prefilter,...] [--model ONNX] [--offset -3]
        [--plans model,truth,masks] [--background fast|best] [--roi-params k=v[:k=v]] [--json OUT]

DIR holds the DAVIS clips and masks (benchmarks/davis.py). Each clip is encoded whole at three base qualities: as a plain encode,
with the model's plan, and with a plan made from the true masks at the frames of the model's maps, which shows the limit of the
channel. ``ENCODER/CHANNEL`` forces a channel. BD-rate: change of the bits at equal luma PSNR over all pixels inside (or outside)
the masks, in per cent; negative is fewer bits. ``--plans masks`` gives the masks as own maps instead, as
``encode --maps`` does. Targets inside, with the true plan: libx264 and libx265 -25 %, libsvtav1 -15 %, libaom-av1 -10 %,
libvvenc -8 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from davis import davis_clips, masks_of, object_blocks, with_truth
from facts import about_run
from rate_distortion import RatePoint, bd_rate, curve
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.encode.channels.background import BACKGROUNDS
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET, MAPPINGS, RoiPolicy
from gpu_saliency.plan.segments import DEFAULT_SEGMENTS
from gpu_saliency.source.probe import probe_clip

SETTINGS: dict[str, tuple[str, tuple[float, ...]]] = {
    "libx264": ("medium", (20, 26, 32)),
    "libx265": ("medium", (24, 30, 36)),
    "libaom-av1": ("6", (28, 36, 44)),
    "libsvtav1": ("8", (30, 40, 50)),
    "libvvenc": ("faster", (22, 27, 32)),
}
TARGETS = {"libx264": -25.0, "libx265": -25.0, "libsvtav1": -15.0, "libaom-av1": -10.0, "libvvenc": -8.0}


@dataclass(frozen=True, slots=True)
class Row:
    """Result for one clip, encoder, channel and source of saliency."""

    clip: str
    encoder: str
    channel: str
    saliency: str
    """``model``, ``truth`` or ``masks``."""
    inside_percent: float
    outside_percent: float
    size_percent: float
    """Size of the ROI encode relative to the plain encode at the same base quality, mean over the qualities."""
    plain: list[RatePoint]
    roi: list[RatePoint]


def measure(path: Path, name: str, options: argparse.Namespace) -> list[Row]:
    """Measure one clip with one ``ENCODER[/CHANNEL]``."""
    encoder, _, forced = name.partition("/")
    preset, qualities = SETTINGS[encoder]
    clip, masks = probe_clip(path), masks_of(path)
    sidecar, _ = load_saliency_sidecar(clip, AnalysisSettings(model=options.model))
    settings = EncodeSettings(encoder, preset, audio=False, roi_channel=forced or None, background=options.background)
    job = prepare_encode(clip, settings).timed_like(sidecar)
    assert job.channel is not None
    policy = RoiPolicy(options.offset, options.mapping, segments=options.segments)
    sidecars = {
        "model": lambda: sidecar,
        "truth": lambda: with_truth(sidecar, object_blocks(masks, clip)),
        "masks": lambda: load_saliency_sidecar(clip, AnalysisSettings(maps=path.with_name(f"{path.stem}_masks")))[0],
    }
    plans = {name: job.plan(sidecars[name](), policy) for name in options.plans}
    own = prepare_encode(clip, replace(settings, encoder_params=options.roi_params)).timed_like(sidecar)
    plain = curve(job, next(iter(plans.values())), masks, qualities, plain=True)
    rows = []
    for saliency, plan in plans.items():
        roi = curve(own, plan, masks, qualities, plain=False)
        size = float(np.mean([100 * (b.video_bytes / a.video_bytes - 1) for a, b in zip(plain, roi, strict=True)]))
        inside, outside = bd_rate(plain, roi, "inside_db"), bd_rate(plain, roi, "outside_db")
        clip_name = path.stem.removeprefix("davis_")
        rows.append(Row(clip_name, encoder, job.channel.name, saliency, inside, outside, size, plain, roi))
    return rows


def averages(rows: list[Row]) -> list[Row]:
    """One mean row over all clips for each encoder, channel and source of saliency."""
    found = []
    for key in dict.fromkeys((row.encoder, row.channel, row.saliency) for row in rows):
        own = [row for row in rows if (row.encoder, row.channel, row.saliency) == key]
        inside, outside, size = np.mean(
            [(row.inside_percent, row.outside_percent, row.size_percent) for row in own], axis=0
        ).tolist()
        mean = replace(own[0], clip="average", inside_percent=inside, outside_percent=outside, size_percent=size, plain=[], roi=[])
        found.append(mean)
    return found


def misses(rows: list[Row]) -> list[str]:
    """Targets that the true plan misses, for each encoder's default channel."""
    found = []
    first = {row.encoder: row.channel for row in reversed(rows)}
    for row in averages(rows):
        target = TARGETS[row.encoder]
        if row.saliency == "truth" and row.channel == first[row.encoder] and not row.inside_percent <= target:
            found.append(f"{row.encoder} by {row.channel}: {row.inside_percent:+.1f} % inside, the target is {target:+.0f} %")
    return found


def show(rows: list[Row], title: str, console: Console) -> None:
    table = Table(title=title)
    for head in ("encoder", "channel", "plan", "clip", "inside %", "outside %", "size %"):
        table.add_column(head, justify="right" if "%" in head else "left", no_wrap=True)
    summary = averages(rows)
    for mean in summary:
        own = [row for row in rows if (row.encoder, row.channel, row.saliency) == (mean.encoder, mean.channel, mean.saliency)]
        for row in (*own, mean):
            numbers = (f"{value:+.1f}" for value in (row.inside_percent, row.outside_percent, row.size_percent))
            table.add_row(row.encoder, row.channel, row.saliency, row.clip, *numbers, style="bold" if row is mean else "")
    console.print(table)
    for line in misses(rows) or ["all targets are met"]:
        console.print(line, markup=False, highlight=False)


def about(options: argparse.Namespace) -> dict[str, Any]:
    """Date, machine, versions and options of the run."""
    return about_run() | {
        "model": options.model.name,
        "offset": options.offset,
        "segments": options.segments,
        "mapping": options.mapping,
        "background": options.background,
        "roi_params": options.roi_params,
        "settings": SETTINGS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--encoders", default=",".join(SETTINGS))
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--offset", type=int, default=DEFAULT_OFFSET)
    parser.add_argument("--mapping", choices=MAPPINGS, default=DEFAULT_MAPPING)
    parser.add_argument("--background", choices=BACKGROUNDS, help="of the prefilter; the default follows the preset")
    parser.add_argument("--segments", default=DEFAULT_SEGMENTS)
    parser.add_argument("--roi-params", default="", help="encoder parameters of the ROI encodes alone")
    parser.add_argument("--plans", type=lambda text: text.split(","), default=["model", "truth"], metavar="model,truth,masks")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if unknown := set(options.plans) - {"model", "truth", "masks"}:
        parser.error(f"--plans: {', '.join(sorted(unknown))} is none of model, truth, masks")
    paths = davis_clips(options.clips)
    if not paths:
        parser.error(f"--clips {options.clips}: no davis_*.mp4 found (give the folder that benchmarks/davis.py describes)")
    rows: list[Row] = []
    for name in options.encoders.split(","):
        for path in paths:
            started = time.monotonic()
            rows += measure(path, name, options)
            print(f"{name} {path.stem}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        if options.json:
            table = [asdict(row) for row in rows]
            summary = [asdict(row) for row in averages(rows)]
            options.json.write_text(json.dumps(about(options) | {"averages": summary, "rows": table}, indent=1))
    show(rows, f"BD-rate of ROI against plain encodes, offset {options.offset:+d}, segments {options.segments}", Console(width=130))


if __name__ == "__main__":
    main()
