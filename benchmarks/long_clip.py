"""Encodes a clip of one hour and measures the size of its plan and filter graphs, and the peak memory.

    python benchmarks/long_clip.py [--hours 1] [--encoder libx264] [--json OUT]

The clip is generated: 24 seconds in three scenes (a ball that crosses a texture, a fractal zoom, ffmpeg's test source), 320x180 at
24 fps, repeated. It has a cut every 8 seconds and moving subjects. A separate process analyses and encodes it; its peak memory and
that of ffmpeg are reported. Frames and time stamps of the output are compared with the source.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import _paths  # noqa: F401
import av
import imageio_ffmpeg
import numpy as np
from facts import about_run
from make_demo_clip import write_clip
from numpy.typing import NDArray

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import plan_part, run_saliency_encode
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.progress import Reporter
from gpu_saliency.source.probe import probe_clip

FPS, SCENE_SECONDS = 24, 8
FASTEST = {"libx264": "ultrafast", "libx265": "ultrafast", "libsvtav1": "12"}


def generate(path: Path, frames: int) -> None:
    """Write ``frames`` frames of the clip that the module describes."""
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    with tempfile.TemporaryDirectory() as folder:
        ball, base = Path(folder, "ball.mp4"), Path(folder, "base.mp4")
        write_clip(ball, SCENE_SECONDS * FPS, 0.8)
        scenes = [f"{kind}=size=320x180:rate={FPS}:duration={SCENE_SECONDS}" for kind in ("mandelbrot", "testsrc2")]
        scenes[0] = scenes[0].split(":duration")[0] + f":end_scale=0.05,trim=end_frame={SCENE_SECONDS * FPS}"
        inputs = ["-i", str(ball), *(word for scene in scenes for word in ("-f", "lavfi", "-i", scene))]
        same = ",".join(("scale=320:180", "format=yuv420p", "setsar=1", "settb=1/24", "setpts=N"))
        graph = ";".join(f"[{i}:v]{same}[v{i}]" for i in range(3)) + ";[v0][v1][v2]concat=n=3"
        encode = ["-c:v", "libx264", "-preset", "fast", "-crf", "20", "-bf", "2"]
        subprocess.run([*ffmpeg, *inputs, "-filter_complex", graph, *encode, str(base)], check=True)
        loops = -(-frames // (3 * SCENE_SECONDS * FPS)) - 1
        copy = ["-c", "copy", "-frames:v", str(frames), str(path)]
        subprocess.run([*ffmpeg, "-stream_loop", str(loops), "-i", str(base), *copy], check=True)


def run(source: Path, output: Path, encoder: str) -> dict[str, Any]:
    """Analyse and encode ``source``; return counts, sizes in bytes, memory in MB and times."""
    reporter = Reporter()
    clip = probe_clip(source)
    job = prepare_encode(clip, EncodeSettings(encoder, FASTEST.get(encoder)))
    path = output.with_suffix(".npz")
    started = time.perf_counter()
    with reporter.stage("finding saliency") as advance:
        sidecar, _ = load_saliency_sidecar(clip, path=path, on_progress=advance)
    seconds = time.perf_counter() - started
    job = job.timed_like(sidecar)
    plan = job.plan(sidecar, RoiPolicy())
    after_plan = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    assert job.channel is not None
    with tempfile.TemporaryDirectory() as folder:
        graphs = [plan_part(job, plan, part, Path(folder)).graph for part in job.channel.split(plan)]
    peak_of_ffmpeg = 0.0
    with reporter.stage("encoding") as advance:

        def on_frame(done: int) -> None:
            nonlocal peak_of_ffmpeg
            advance(done, plan.frame_count)
            peak_of_ffmpeg = max(peak_of_ffmpeg, peak_of_children())

        encoded = run_saliency_encode(job, plan, output, on_frame=on_frame)
    track = sidecar.track
    return {
        "frames": track.frame_count,
        "maps": len(track.sample_frame),
        "scenes": len(track.cuts) + 1,
        "segments": len(plan.segment_start),
        "track_bytes": sum(one.nbytes for one in (track.saliency, track.gaze, track.activity) if one is not None),
        "sidecar_bytes": path.stat().st_size,
        "plan_bytes": plan.qp_offset.nbytes,
        "parts": encoded.parts,
        "graph_filters_max": max(graph.count("addroi=") for graph in graphs),
        "graph_bytes_max": max(map(len, graphs)),
        "graph_bytes": sum(map(len, graphs)),
        "peak_mb_until_plan": round(after_plan),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "peak_mb_ffmpeg": round(peak_of_ffmpeg),
        "analysis_fps": round(track.frame_count / seconds, 1),
        "encode_seconds": round(encoded.seconds, 1),
    }


def peak_of_children() -> float:
    """Largest peak resident memory of a child process, MB; wait(2) would include the parent's memory at the fork."""
    peak = 0.0
    for pids in Path("/proc/self/task").glob("*/children"):
        for pid in pids.read_text().split():
            with contextlib.suppress(OSError):  # the process may have ended
                found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
                peak = max(peak, int(found[1]) / 1000 if found else 0.0)
    return peak


def times(path: Path) -> NDArray[np.float64]:
    """Presentation times of the video packets in seconds, sorted, the first 0."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        base = video.time_base or Fraction(1)
        found = np.sort([packet.pts * float(base) for packet in container.demux(video) if packet.pts is not None and packet.size])
    return np.asarray(found - found[0], np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--encoder", choices=FASTEST, default="libx264")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run[0], options.run[1], options.encoder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "source.mp4"), Path(folder, "out.mp4")
        generate(source, round(options.hours * 3600 * FPS))
        command = [sys.executable, __file__, "--encoder", options.encoder, "--run", str(source), str(output)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        before, after = times(source), times(output)
        found["frames_written"] = len(after)
        found["worst_time_stamp_ms"] = float(1000 * np.abs(before - after).max()) if len(before) == len(after) else None
        facts = about_run()
    if options.json:
        options.json.write_text(json.dumps(facts | {"encoder": options.encoder, **found}, indent=1))
    for name, value in found.items():
        print(f"{name:<22} {value:>15,}" if isinstance(value, int) else f"{name:<22} {value!s:>15}")


if __name__ == "__main__":
    main()
