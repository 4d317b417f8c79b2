"""Measures the gain of a plan that follows a moving subject, and the cost of encoding a clip in parts.

    python benchmarks/moving_subject.py [--encoders libx264,libsvtav1/prefilter,...] [--seconds 6] [--json OUT]

The clip is generated (scripts/make_demo_clip.py): a ball crosses 80 % of a textured frame, and its position is known. For each
encoder, a following plan (``--segments auto``) is compared with one plan for the clip (``--segments clip``), both from the default
model's maps and from the true ones. Printed: BD-rate of the first against the second, by luma PSNR inside and outside the ball over
three base qualities; negative is fewer bits at the same quality. For libx264 and libx265 the same plan is then encoded in one part
and in several (the graph limited to a quarter of its filters); frames, time stamps and sizes of both are compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import _paths  # noqa: F401
import av
import numpy as np
from bd_rate import SETTINGS
from davis import Masks, object_blocks, with_truth
from facts import about_run
from make_demo_clip import FPS, ball_masks, write_clip
from rate_distortion import bd_rate, curve
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.channels import addroi
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

REACH = 0.8
ENCODERS = "libx264,libx265,libsvtav1,libsvtav1/prefilter,libaom-av1,libvvenc"


@dataclass(frozen=True, slots=True)
class Row:
    """A following plan against one plan for the clip, for one encoder and source of saliency."""

    encoder: str
    channel: str
    saliency: str
    segments: int
    inside_percent: float
    outside_percent: float
    size_percent: float
    """Size with the following plan relative to the other, mean over the qualities."""


@dataclass(frozen=True, slots=True)
class PartsRow:
    """The same plan encoded in one part and in several, by one encoder."""

    encoder: str
    parts: int
    frames: tuple[int, int, int]
    """Frame counts of the source, of the encode in one part and of that in several."""
    worst_time_stamp: float
    """Largest difference of a frame's time from the source's in either encode, seconds."""
    size_percent: float
    """Size of the encode in several parts relative to that in one."""


def compare(clip: Clip, sidecar: Sidecar, masks: Masks, name: str) -> list[Row]:
    encoder, _, forced = name.partition("/")
    preset, qualities = SETTINGS[encoder]
    job = prepare_encode(clip, EncodeSettings(encoder, preset, audio=False, roi_channel=forced or None)).timed_like(sidecar)
    assert job.channel is not None
    rows = []
    truth = with_truth(sidecar, object_blocks(masks, clip))
    for saliency, source in (("model", sidecar), ("truth", truth)):
        plans = [job.plan(source, RoiPolicy(segments=segments)) for segments in ("clip", "auto")]
        one, following = (curve(job, plan, masks, qualities, plain=False) for plan in plans)
        size = float(np.mean([100 * (b.video_bytes / a.video_bytes - 1) for a, b in zip(one, following, strict=True)]))
        gains = [bd_rate(one, following, side) for side in ("inside_db", "outside_db")]
        rows.append(Row(encoder, job.channel.name, saliency, len(plans[1].segment_start), gains[0], gains[1], size))
    return rows


def compare_parts(clip: Clip, sidecar: Sidecar, encoder: str) -> PartsRow:
    job = prepare_encode(clip, EncodeSettings(encoder)).timed_like(sidecar)
    assert job.channel is not None
    plan = job.plan(sidecar, RoiPolicy())
    filters = job.channel.deliver(job, plan, job.channel.split(plan)[0], Path(), job.quality(plan)).filters.count("addroi=")
    with tempfile.TemporaryDirectory() as folder:
        one, many = Path(folder, "one.mp4"), Path(folder, "many.mp4")
        whole = run_saliency_encode(job, plan, one)
        with patch.object(addroi, "MAX_FILTERS", math.ceil(filters / 4)):
            parted = run_saliency_encode(job, plan, many)
        assert whole.parts == 1
        times = [_times(path) for path in (clip.path, one, many)]
    worst = max(float(np.abs(np.subtract(t, times[0])).max()) if len(t) == len(times[0]) else math.inf for t in times[1:])
    counts = (len(times[0]), len(times[1]), len(times[2]))
    return PartsRow(encoder, parted.parts, counts, worst, 100 * (parted.size_bytes / whole.size_bytes - 1))


def _times(path: Path) -> list[float]:
    """Presentation times of all decoded frames, seconds."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0) if frame.time is not None]


def show(rows: list[Row], parts: list[PartsRow], console: Console) -> None:
    table = Table(title="BD-rate of a following plan against one plan for the clip")
    for head in ("encoder", "channel", "plan", "segments", "inside %", "outside %", "size %"):
        table.add_column(head, justify="left" if head in ("encoder", "channel", "plan") else "right", no_wrap=True)
    for row in rows:
        numbers = (f"{value:+.1f}" for value in (row.inside_percent, row.outside_percent, row.size_percent))
        table.add_row(row.encoder, row.channel, row.saliency, str(row.segments), *numbers)
    console.print(table)
    table = Table(title="The same plan in one part and in several")
    for head in ("encoder", "parts", "frames: source, one, several", "worst time stamp", "size %"):
        table.add_column(head, justify="right" if head != "encoder" else "left", no_wrap=True)
    for part in parts:
        frames = " ".join(map(str, part.frames))
        table.add_row(part.encoder, str(part.parts), frames, f"{1000 * part.worst_time_stamp:.3f} ms", f"{part.size_percent:+.1f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", default=ENCODERS)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = options.encoders.split(",")
    unknown = [name for name in names if name.partition("/")[0] not in SETTINGS]
    if unknown:
        parser.error(f"--encoders {unknown[0]}: unknown (one of {', '.join(SETTINGS)})")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ball.mp4")
        count = round(options.seconds * FPS)
        write_clip(path, count, REACH)
        clip, masks = probe_clip(path), ball_masks(count, REACH)
        sidecar, _ = load_saliency_sidecar(clip)
        rows: list[Row] = []
        for name in names:
            rows += compare(clip, sidecar, masks, name)
            print(f"{name}: done", file=sys.stderr)
        parts = [compare_parts(clip, sidecar, name) for name in names if name in ("libx264", "libx265")]
        if options.json:
            facts: dict[str, Any] = about_run() | {"seconds": options.seconds, "reach": REACH}
            tables = {"rows": [asdict(row) for row in rows], "parts": [asdict(part) for part in parts]}
            options.json.write_text(json.dumps(facts | tables, indent=1))
    show(rows, parts, Console(width=120))


if __name__ == "__main__":
    main()
