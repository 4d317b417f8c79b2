"""Measures the CPU time that each channel's filters take of a frame, beside the encoder's own.

    python benchmarks/channel_time.py [--frames 48] [--json OUT]

A generated clip of 1920x1080 (ffmpeg's test source) is decoded and filtered by the graph of an encode, with the default model's
plan and without a plan; the frames are discarded. The difference of user and system time, by frame, is the channel's: the mean of
the runs. Other work on the machine changes CPU time far less than it changes wall time.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
from pathlib import Path

import _paths  # noqa: F401
import imageio_ffmpeg
from facts import about_run

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import plan_part
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.probe import probe_clip

CHANNELS = {
    "addroi": EncodeSettings("libx264", roi_channel="addroi", audio=False),
    "prefilter fast": EncodeSettings("libsvtav1", "8", roi_channel="prefilter", background="fast", audio=False),
    "prefilter best": EncodeSettings("libsvtav1", "8", roi_channel="prefilter", background="best", audio=False),
    "prefilter, 10 bits": EncodeSettings("libvvenc", "faster", roi_channel="prefilter", audio=False),
}


def seconds_of(job: EncodeJob, plan: RoiPlan | None, frames: int) -> float:
    """CPU seconds of decoding and filtering ``frames`` frames."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = plan_part(job, plan, Part(0, frames), folder)
        run.graph_path.write_text(run.graph, encoding="utf-8")
        command = [job.ffmpeg.path, "-v", "error", "-i", str(job.clip.path), "-an", *job.ffmpeg.graph_file(run.graph_path)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "-fps_mode", "passthrough", "-f", "null", "-"], check=True, stdin=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.mp4")
        graph = f"testsrc2=size=1920x1080:rate=24,trim=end_frame={options.frames}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", graph, "-preset", "ultrafast"]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(source)], check=True)
        clip = probe_clip(source)
        sidecar, _ = load_saliency_sidecar(clip)
        for name, settings in CHANNELS.items():
            job = prepare_encode(clip, settings).timed_like(sidecar)
            plan = job.plan(sidecar, RoiPolicy())
            times = [[seconds_of(job, one, options.frames) for one in (None, plan)] for _ in range(options.runs)]
            added = sum(ours - plain for plain, ours in times) / options.runs / options.frames
            found[name] = round(1000 * added, 2)
            print(f"{name:30} {found[name]:8.2f} ms of CPU a frame of 1920x1080", flush=True)
    if options.json:
        options.json.write_text(json.dumps(about_run() | {"frames": options.frames, "runs": options.runs, "ms": found}, indent=1))


if __name__ == "__main__":
    main()
