"""Looks at libaom's own ways of moving bits within a frame: aq-mode, deltaq-mode and enable-chroma-deltaq.

    python benchmarks/aom_modes.py --clip DIR/davis_NAME.mp4 [--seconds 1] [--only aq-mode=1,...] [--json OUT]

Each setting is measured against a plain encode with libaom's defaults: BD-rate inside and outside of the true masks, and the mean
change of the size at the same CRF; as a plain encode, and with the prefilter by the plan of the true masks. Settings that help the
subject at a smaller price than the prefilter would be worth a channel.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from davis import masks_of, object_blocks, with_truth
from facts import about_run
from rate_distortion import RatePoint, bd_rate, curve

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.target import parse_params
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.probe import probe_clip

PRESET, QUALITIES = "6", (28, 36, 44)
MODES = ("aq-mode=1", "aq-mode=2", "deltaq-mode=0", "deltaq-mode=2", "deltaq-mode=3", "enable-chroma-deltaq=1")
"""libaom's defaults in ffmpeg: aq-mode 0, deltaq-mode 1 (by the importance of blocks over time), no chroma delta-q."""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting against a plain encode with the defaults."""

    mode: str
    """``default`` or ``key=value`` of libaom."""
    encode: str
    """``plain`` or ``prefilter``."""
    inside_percent: float
    outside_percent: float
    size_percent: float


def row_of(mode: str, encode: str, base: list[RatePoint], points: list[RatePoint]) -> Row:
    size = float(np.mean([100 * (b.video_bytes / a.video_bytes - 1) for a, b in zip(base, points, strict=True)]))
    inside, outside = (bd_rate(base, points, side) for side in ("inside_db", "outside_db"))
    return Row(mode, encode, round(inside, 2), round(outside, 2), round(size, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(MODES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    clip = probe_clip(options.clip, duration=options.seconds)
    sidecar, _ = load_saliency_sidecar(clip)
    masks = masks_of(options.clip)[: sidecar.frame_count]
    job = prepare_encode(clip, EncodeSettings("libaom-av1", PRESET, audio=False, roi_channel="prefilter")).timed_like(sidecar)
    plan = job.plan(with_truth(sidecar, object_blocks(masks, clip)), RoiPolicy())
    base: list[RatePoint] = []
    rows: list[Row] = []
    for mode in ("default", *options.only):
        own = job if mode == "default" else replace(job, params=job.params | parse_params(mode))
        for encode in ("plain", "prefilter"):
            points = curve(own, plan, masks, QUALITIES, plain=encode == "plain")
            base = base or points
            rows.append(row_of(mode, encode, base, points))
            last = rows[-1]
            numbers = (f"{value:+6.1f}" for value in (last.inside_percent, last.outside_percent, last.size_percent))
            print(f"{last.mode:24} {last.encode:10}", *numbers, flush=True)
            if options.json:
                about = about_run() | {
                    "clip": options.clip.stem,
                    "frames": sidecar.frame_count,
                    "preset": PRESET,
                    "qualities": QUALITIES,
                }
                options.json.write_text(json.dumps(about | {"rows": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    main()
