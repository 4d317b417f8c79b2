"""What ``score`` says and costs: plain libx264 encodes of the DAVIS clips at CRF 30.

    python benchmarks/score_cost.py --clips FOLDER [--frames N] [--large]

Prints VMAF at the clip's own size and scaled to 1920 pixels, and CPU seconds per frame (this process and ffmpeg, so that other work
on the machine hardly matters) for the whole frame and with masks. ``--large`` enlarges the clips to 1920x1080 first. The folder is
that of benchmarks/davis.py.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
from pathlib import Path

from davis import davis_clips
from rich.console import Console
from rich.table import Table

from gpu_saliency import Score, score_encode
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, find_ffmpeg

CRF = 30


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(reference: Path, distorted: Path, masks: Path | None, frames: int) -> tuple[Score, float]:
    """The score, and CPU seconds per frame."""
    start = cpu_seconds()
    score = score_encode(reference, distorted, masks=masks, frames=frames)
    return score, (cpu_seconds() - start) / score.frames


def row(clip: Path, frames: int, folder: Path, *, large: bool) -> list[str]:
    ffmpeg = find_ffmpeg(DEFAULT_FFMPEG, "libx264").path
    reference = folder / "reference.mkv" if large else clip
    quietly = [ffmpeg, "-v", "error", "-y", "-i"]
    if large:
        scale = ["-vf", "scale=1920:1080:flags=bicubic", "-frames:v", str(frames or 10**6), "-an"]
        subprocess.run([*quietly, str(clip), *scale, "-c:v", "libx264", "-crf", "8", str(reference)], check=True)
    distorted = folder / "distorted.mkv"
    subprocess.run([*quietly, str(reference), "-an", "-c:v", "libx264", "-crf", str(CRF), str(distorted)], check=True)
    masks = clip.with_name(f"{clip.stem}_masks")
    whole, whole_cost = timed(reference, distorted, None, frames)
    found, cost = timed(reference, distorted, masks, frames)
    values = [f"{whole.metrics[name].pooled:.1f}" for name in ("vmaf", "vmaf_scaled", "vmaf_far", "vmaf_neg")]
    region = found.region("inside")
    assert region is not None
    inside = f"{100 * (region.share or 0):.0f} %: {region.metrics['vmaf'].pooled:.1f}"
    return [clip.stem, f"{whole.width}x{whole.height}", *values, inside, f"{whole_cost:.2f}", f"{cost:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    table = Table(title=f"libx264 CRF {CRF}")
    for head in ("clip", "size", "VMAF", "scaled", "far", "NEG", "inside", "CPU s/frame", "with masks"):
        table.add_column(head, no_wrap=True)
    for clip in davis_clips(options.clips):
        with tempfile.TemporaryDirectory() as folder:
            table.add_row(*row(clip, options.frames, Path(folder), large=options.large))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
