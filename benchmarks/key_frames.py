"""Measures what a plan of key frames (``--every keyframe``) costs in gain against one of every sixth frame, and the time it saves.

    python benchmarks/key_frames.py --clips DIR [--gop 24,48] [--encoder libx264] [--long CLIP] [--long-seconds 300] [--json OUT]

DIR holds the DAVIS clips and masks (benchmarks/davis.py). Each is coded nearly losslessly with the key-frame distance and then
encoded whole at three base qualities: as a plain encode, with the model's plan of every sixth frame, and with that of the key
frames. BD-rate: change of the bits at equal luma PSNR over all pixels inside (or outside) the true masks, in per cent; negative is
fewer bits.
``--long`` is repeated, copied, to that length; then both analyses are timed by turns, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import _paths  # noqa: F401 - before the modules that it makes importable
from bd_rate import SETTINGS
from clips import FFMPEG, ffmpeg
from davis import davis_clips, masks_of
from facts import about_run
from rate_distortion import bd_rate, curve
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.probe import probe_clip

WAYS: dict[str, int | str] = {"every 6": 6, "key frames": "keyframe"}


@dataclass(frozen=True, slots=True)
class Row:
    """One clip with one key-frame distance and one sampling, against its plain encode."""

    clip: str
    gop: int
    sampling: str
    maps: int
    segments: int
    inside_percent: float
    outside_percent: float
    size_percent: float
    """Size relative to the plain encode at the same base quality, mean over the qualities."""


def measure(source: Path, gop: int, encoder: str, folder: Path) -> list[Row]:
    path = folder / f"{source.stem}-{gop}.mp4"
    # Scene cuts get key frames too, as by default.
    ffmpeg("-i", source, "-an", "-c:v", "libx264", "-preset", "medium", "-crf", 8, "-g", gop, path)
    preset, qualities = SETTINGS[encoder]
    clip, masks, rows = probe_clip(path), masks_of(source), []
    plain = None
    for name, every in WAYS.items():
        sidecar, _ = load_saliency_sidecar(clip, AnalysisSettings(every=every))
        job = prepare_encode(clip, EncodeSettings(encoder, preset, audio=False)).timed_like(sidecar)
        plan = job.plan(sidecar, RoiPolicy())
        plain = plain or curve(job, plan, masks, qualities, plain=True)
        roi = curve(job, plan, masks, qualities, plain=False)
        size = mean(100 * (b.video_bytes / a.video_bytes - 1) for a, b in zip(plain, roi, strict=True))
        inside, outside = bd_rate(plain, roi, "inside_db"), bd_rate(plain, roi, "outside_db")
        maps, segments = len(sidecar.track.sample_frame), len(plan.segment_start)
        rows.append(Row(source.stem.removeprefix("davis_"), gop, name, maps, segments, inside, outside, size))
    return rows


def timed(source: Path, seconds: float, folder: Path, repeat: int) -> dict[str, object]:
    """The seconds of ``plan`` over ``source``, repeated to ``seconds``."""
    path = folder / f"long{source.suffix}"
    command = [FFMPEG, "-v", "error", "-stream_loop", "-1", "-i", source, "-an", "-c", "copy", "-t", seconds, path]
    subprocess.run(list(map(str, command)), check=True)
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    facts: dict[str, object] = {"clip": source.name, "seconds": seconds}
    for _ in range(repeat):
        for name, every in WAYS.items():
            plan = [
                sys.executable,
                "-m",
                "gpu_saliency",
                "plan",
                path,
                folder / "plan.npz",
                "--every",
                every,
                "--no-cache",
                "-y",
                "--json",
            ]
            began = time.perf_counter()
            done = subprocess.run(list(map(str, plan)), check=True, capture_output=True)
            found[name].append(round(time.perf_counter() - began, 2))
            result = json.loads(done.stdout)
            facts |= {"frames": result["frames"], f"{name} maps": result["analysis"]["sampled_frames"]}
    return facts | {"wall_seconds": found, "ratio": round(min(found["every 6"]) / min(found["key frames"]), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--gop", default="24,48")
    parser.add_argument("--encoder", default="libx264")
    parser.add_argument("--long", type=Path)
    parser.add_argument("--long-seconds", type=float, default=300)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for gop in map(int, given.gop.split(",")):
            for clip in davis_clips(given.clips):
                rows += measure(clip, gop, given.encoder, folder)
                print(rows[-2:], file=sys.stderr, flush=True)
        long = timed(given.long, given.long_seconds, folder, given.repeat) if given.long is not None else None
    table = Table("clip", "GOP", "maps of", "maps", "segments", "inside %", "outside %", "size %")
    averages = []
    for gop in dict.fromkeys(row.gop for row in rows):
        for sampling in WAYS:
            own = [row for row in rows if (row.gop, row.sampling) == (gop, sampling)]
            numbers = [mean(getattr(row, f"{side}_percent") for row in own) for side in ("inside", "outside", "size")]
            averages.append(Row("average", gop, sampling, sum(r.maps for r in own), sum(r.segments for r in own), *numbers))
    for row in rows + averages:
        numbers = [f"{value:+.1f}" for value in (row.inside_percent, row.outside_percent, row.size_percent)]
        table.add_row(row.clip, str(row.gop), row.sampling, str(row.maps), str(row.segments), *numbers)
    Console().print(table)
    print(long)
    if given.json is not None:
        facts = {"encoder": given.encoder, "rows": [asdict(row) for row in rows], "averages": [asdict(row) for row in averages]}
        given.json.write_text(json.dumps(about_run() | facts | {"long": long}, indent=1) + "\n")


if __name__ == "__main__":
    main()
