"""Time each stage of the analysis alone and all of them together, side by side in one run.

    python benchmarks/stages.py [FILE] [--model ONNX] [--rounds 5] [--memory] [--json OUT]

Without FILE a 1080p24 clip with camera and subject motion is generated (libx264, CRF 20). All figures are per frame of the source
at the default sampling: a stage that sees one frame in four is charged a quarter of its cost. The rounds interleave the stages, so
that a noisy machine disturbs all alike; medians are printed. ``--memory`` also runs the whole plan over 100 and over 2,000 frames
in processes of their own and prints the peak of each.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.cpu import CpuDevice
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.model.onnx import normalise
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.shrink import Shrinker

GENERATED_FRAMES = 240


def generate(path: Path, frames: int) -> None:
    """A 1080p24 clip: fractal texture that pans and zooms, some grain. Compresses and decodes like camera footage."""
    source = f"mandelbrot=size=1920x1080:rate=24:maxiter=200:end_scale=0.05,noise=alls=6:allf=t,trim=end_frame={min(frames, 240)}"
    loops = ["-stream_loop", str(-(-frames // 240) - 1)]
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "base.mp4")
        encode = ["-c:v", "libx264", "-preset", "medium", "-crf", "20", "-pix_fmt", "yuv420p"]
        subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, *encode, str(base)], check=True)
        copy = ["-c", "copy", "-frames:v", str(frames)]
        subprocess.run([ffmpeg, "-v", "error", *loops, "-i", str(base), *copy, "-y", str(path)], check=True)


def measure(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds of ``work``."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def stages(clip: Clip, model_path: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Median wall and CPU milliseconds per source frame of each stage and of the whole."""
    device = CpuDevice()
    model = device.load_model(model_path)
    sampling = Sampling.choose(clip.frame_rate)
    size = model.input_size(clip.width / clip.height)
    kept: list[av.VideoFrame] = []
    frames = 0
    for frame in decode_frames(clip, DecodeTally()):
        if frames % 8 == 0 and len(kept) < 32:
            kept.append(frame)
        frames += 1
    step = float(sampling.step)
    shrink = Shrinker(size.content)
    pictures = np.stack([shrink(frame) for frame in kept[: model.batch_size]])
    batch = normalise(pictures, size.padded)

    def decode() -> None:
        for _ in decode_frames(clip, DecodeTally()):
            pass

    def preprocess() -> None:
        for start in range(0, len(kept), model.batch_size):
            normalise(np.stack([shrink(frame) for frame in kept[start : start + model.batch_size]]), size.padded)

    def infer() -> None:
        for _ in range(4):
            model(batch)

    def whole() -> None:
        analyse_clip(clip, model, device, sampling)

    work: dict[str, tuple[Callable[[], None], float]] = {
        "decode": (decode, frames),
        "preprocess": (preprocess, len(kept) * step),
        "inference": (infer, 4 * len(batch) * step),
        "whole plan": (whole, frames),
    }
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for round_number in range(rounds + 1):
        for name, (run, per) in work.items():
            wall, cpu = measure(run)
            if round_number:  # the first round warms up
                samples[name].append((wall / per * 1e3, cpu / per * 1e3))
    result = {
        name: {"wall_ms": statistics.median(w for w, _ in s), "cpu_ms": statistics.median(c for _, c in s)}
        for name, s in samples.items()
    }
    slowest = [max(samples[name][i][0] for name in work if name != "whole plan") for i in range(rounds)]
    ratios = [samples["whole plan"][i][0] / slowest[i] for i in range(rounds)]
    result["whole / slowest"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return result


def peak_memory(model: Path, frames: int, folder: Path) -> float:
    """Peak resident MB of a process that plans a 1080p clip of ``frames`` frames."""
    clip = folder / f"{frames}.mp4"
    generate(clip, frames)
    command = [sys.executable, __file__, str(clip), "--model", str(model), "--once"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        device = CpuDevice()
        clip = probe_clip(options.file)
        analyse_clip(clip, device.load_model(options.model), device, Sampling.choose(clip.frame_rate))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder, "generated.mp4")
        if options.file is None:
            generate(path, GENERATED_FRAMES)
        clip = probe_clip(path)
        result = stages(clip, options.model, options.rounds)
        memory = {frames: peak_memory(options.model, frames, Path(folder)) for frames in (100, 2000)} if options.memory else {}
    table = Table(title=f"{path.name}: {clip.width}x{clip.height}, {clip.frame_count} frames; ms per source frame")
    for column in ("stage", "wall ms", "CPU ms"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, row in result.items():
        if "wall_ms" in row:
            table.add_row(name, f"{row['wall_ms']:.2f}", f"{row['cpu_ms']:.2f}")
    console = Console()
    console.print(table)
    ratio = result["whole / slowest"]
    console.print(f"whole / slowest stage: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})")
    for frames, peak in memory.items():
        console.print(f"peak memory over {frames} frames: {peak:.0f} MB")
    if options.json:
        about = {
            "date": str(date.today()),
            "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
        }
        options.json.write_text(json.dumps(about | {"stages": result, "peak_mb": memory}, indent=2))


if __name__ == "__main__":
    main()
