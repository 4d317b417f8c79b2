"""Measures what an encode costs beside ffmpeg alone: analysis, sample, plan and proof, all defaults, in one run side by side.

    python benchmarks/encode_speed.py --source CLIP [--seconds 20,60] [--cases libx264/medium,...] [--repeat 2] [--json OUT]

CLIP is looped and scaled to 1920x1080 and encoded once for each length (libx264 veryfast, CRF 16). Then each case runs ffmpeg alone
and ``gpu-saliency encode`` by turns; the table gives the medians of the wall-clock times, their ratio, and the ratio of the CPU
times of both with all their child processes. The ratio may be compared between machines, the seconds may not.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from facts import about_run
from rich.console import Console
from rich.table import Table

from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, find_ffmpeg
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.source.probe import probe_clip

CASES = "libx264/medium,libx264/veryfast,libx265/medium,libsvtav1/8"


@dataclass(frozen=True, slots=True)
class Row:
    """Result for one case and length."""

    encoder: str
    preset: str
    seconds: float
    repeats: int
    plain_wall: float
    ours_wall: float
    ratio: float
    cpu_ratio: float
    stages: dict[str, float]
    """Seconds of each stage of the last encode."""
    plain_bytes: int
    ours_bytes: int


def make_source(source: Path, seconds: float, path: Path) -> None:
    ffmpeg = find_ffmpeg(DEFAULT_FFMPEG, "libx264").path
    scale = ["-vf", "scale=1920:1080:flags=bicubic", "-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "16"]
    subprocess.run([ffmpeg, "-v", "error", "-y", "-stream_loop", "-1", "-i", source, "-t", str(seconds), *scale, path], check=True)


def timed(command: list[str]) -> tuple[float, float, str]:
    """Run ``command``; returns its wall-clock time, its CPU time with child processes, and its standard output."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "SVT_LOG": "1"})
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def measure(path: Path, encoder: str, preset: str, seconds: float, repeat: int, folder: Path) -> Row:
    job = prepare_encode(probe_clip(path), EncodeSettings(encoder, preset, audio=False), plain=True)
    plain, ours = folder / "plain.mp4", folder / "ours.mp4"
    alone = [
        job.ffmpeg.path,
        "-v",
        "error",
        "-y",
        "-i",
        str(path),
        "-an",
        "-c:v",
        encoder,
        "-preset",
        preset,
        "-crf",
        f"{job.crf:g}",
    ]
    product = [sys.executable, "-m", "gpu_saliency", "encode", "--src", str(path), "--output", str(ours)]
    product += ["--overwrite", "--quiet", "--no-cache"]
    product += ["--encoder", encoder, "--preset", preset, "--json"]
    runs = [(timed([*alone, str(plain)]), timed(product)) for _ in range(repeat)]
    walls = [median(run[i][0] for run in runs) for i in (0, 1)]
    cpus = [median(run[i][1] for run in runs) for i in (0, 1)]
    stages = json.loads(runs[-1][1][2])["seconds"]
    ratio, cpu = walls[1] / walls[0], cpus[1] / cpus[0]
    return Row(encoder, preset, seconds, repeat, walls[0], walls[1], ratio, cpu, stages, plain.stat().st_size, ours.stat().st_size)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--seconds", default="20,60")
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for seconds in map(float, options.seconds.split(",")):
            path = Path(name) / f"source{seconds:g}.mp4"
            make_source(options.source, seconds, path)
            for case in options.cases.split(","):
                encoder, preset = case.split("/")
                rows.append(measure(path, encoder, preset, seconds, options.repeat, Path(name)))
                print(asdict(rows[-1]), file=sys.stderr)
    table = Table("encoder", "preset", "clip, s", "ffmpeg alone, s", "ours, s", "ratio", "ratio of CPU time", "size", "stages, s")
    for row in rows:
        size = f"{100 * (row.ours_bytes / row.plain_bytes - 1):+.1f} %"
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in row.stages.items())
        walls = f"{row.plain_wall:.1f}", f"{row.ours_wall:.1f}", f"{row.ratio:.2f}", f"{row.cpu_ratio:.2f}"
        table.add_row(row.encoder, row.preset, f"{row.seconds:g}", *walls, size, stages)
    Console(width=180).print(table)
    if options.json:
        options.json.write_text(json.dumps(about_run() | {"rows": list(map(asdict, rows))}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
