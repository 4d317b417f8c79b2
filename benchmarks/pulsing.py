"""Measures whether quality pulses where the plan changes: steps of PSNR at the first frames of segments, against plain encodes.

    python benchmarks/pulsing.py --clips DIR [--encoders libx264,libx265] [--plan PLAN] [--seconds 10] [--json OUT]

The first ``--seconds`` of each .mp4 file of DIR are encoded plainly and with PLAN (benchmarks/named_plans.py). A step is the change
of the whole frame's luma PSNR from one frame to the next, in dB, without its sign; a segment's first frame counts unless the scene
changes there. Frame types alone make steps in a plain encode, so the table gives:

  ours, plain   the largest step at the segments' first frames
  elsewhere     the largest step of the plain encode at any other frame that is not a scene's first
  gain          the largest change of (ours minus plain), in which the frame types cancel, at the segments' first frames
  parts         the same at the first frames of parts within a scene, which a new run of the encoder begins; not counted above
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from facts import about_run
from named_plans import parse_plan
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from whole_encodes import PRESET, encode_whole, native_metrics

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET
from gpu_saliency.source.probe import probe_clip

CRF = {"libx264": 30.0, "libx265": 32.0}


@dataclass(frozen=True, slots=True)
class Row:
    """Result for one clip and encoder; steps in dB, ``None`` for a plan of one segment."""

    clip: str
    encoder: str
    crf: float
    segments: int
    changes: int
    """Segments that begin within a scene and not with a part."""
    ours: float | None
    plain: float | None
    elsewhere: float
    gain: float | None
    parts: float | None


def largest(values: NDArray[np.float64], frames: list[int]) -> float | None:
    """Largest step of ``values`` ``[frames]`` from the frame before to one of ``frames``; ``None`` without any."""
    return max((abs(float(values[frame] - values[frame - 1])) for frame in frames), default=None)


def measure(path: Path, encoder: str, options: argparse.Namespace) -> Row:
    clip = probe_clip(path, duration=options.seconds)
    sidecar, _ = load_saliency_sidecar(clip)
    job = prepare_encode(clip, EncodeSettings(encoder, PRESET, audio=False)).timed_like(sidecar)
    plan = parse_plan(options.plan).make(job, sidecar)
    quality = CRF[encoder]
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for plainly in (True, False):
            output = encode_whole(job, plan, quality, Path(folder), plain=plainly)
            found.append(native_metrics(clip, output, vmaf=(), cambi=False, frames=plan.frame_count)["psnr_y"].frames)
    plain, ours = found
    assert job.channel is not None
    parts = [part.start for part in job.channel.split(plan)[1:] if part.start not in plan.cuts]
    starts = [int(start) for start in plan.segment_start[1:] if int(start) not in (*plan.cuts, *parts)]
    others = [frame for frame in range(1, plan.frame_count) if frame not in (*starts, *parts, *plan.cuts)]
    elsewhere = largest(plain, others) or 0.0
    steps = (largest(ours, starts), largest(plain, starts), elsewhere, largest(ours - plain, starts), largest(ours - plain, parts))
    return Row(path.stem, encoder, quality, len(plan.segment_start), len(starts), *steps)


def show(rows: list[Row], plan: str, console: Console) -> None:
    table = Table(title=f"Largest step of PSNR, dB, where the plan {plan} changes within a scene")
    for head in ("encoder", "clip", "segments", "changes", "ours", "plain", "elsewhere", "gain", "parts"):
        table.add_column(head, justify="left" if head in ("encoder", "clip") else "right", no_wrap=True)
    for row in rows:
        steps = ("" if step is None else f"{step:.2f}" for step in (row.ours, row.plain, row.elsewhere, row.gain, row.parts))
        table.add_row(row.encoder, row.clip, str(row.segments), str(row.changes), *steps)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--plan", default=f"{DEFAULT_MAPPING}:{DEFAULT_OFFSET}")
    parser.add_argument("--encoders", type=lambda text: text.split(","), default=list(CRF))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = sorted(options.clips.glob("*.mp4"))
    if not paths:
        parser.error(f"--clips {options.clips}: no .mp4 found (give a folder that holds some)")
    rows: list[Row] = []
    for encoder in options.encoders:
        for path in paths:
            rows.append(measure(path, encoder, options))
            print(f"{encoder} {path.stem}: {rows[-1].changes} changes", file=sys.stderr)
            if options.json:
                facts = about_run() | {"plan": options.plan, "preset": PRESET, "seconds": options.seconds}
                options.json.write_text(json.dumps(facts | {"rows": [asdict(row) for row in rows]}, indent=1))
    show(rows, options.plan, Console(width=130))


if __name__ == "__main__":
    main()
