"""Encodes a clip of one hour and measures the size of its plan and filter graphs, and memory over time.

    python benchmarks/long_clip.py [--minutes 60] [--encoder libx264] [--json OUT]

The clip is generated: 24 seconds in three scenes (a ball that crosses a texture, a fractal zoom, ffmpeg's test source), 320x180 at
24 fps, repeated. It has a cut every 8 seconds and moving subjects. A separate process runs the whole of `encode` on it: analysis,
sample, encode, proof. Its memory and that of the programs that it starts are sampled every second. Frames and time stamps of the
output are compared with the source.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
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

from gpu_saliency import EncodeRequest, encode_clip
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import plan_part
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


class Memory:
    """Samples the resident memory of this process and of all programs that it started, every second, in a thread."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float, float]] = []
        """Seconds since the start, MB of this process, MB of the programs together."""
        self.peak_of_program = 0.0
        """MB of the largest program; wait(2) would include the parent's memory at the fork."""
        self._started = time.perf_counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(1):
            programs = [memory_of(pid) for pid in programs_of(os.getpid())]
            self.peak_of_program = max([self.peak_of_program, *(peak for _, peak in programs)])
            row = (time.perf_counter() - self._started, memory_of(os.getpid())[0], sum(now for now, _ in programs))
            self.samples.append((round(row[0], 1), round(row[1]), round(row[2])))

    def thinned(self, most: int = 60) -> list[tuple[float, float, float]]:
        """At most so many samples: the largest of each of equal stretches of time."""
        step = -(-len(self.samples) // most) or 1
        stretches = [self.samples[i : i + step] for i in range(0, len(self.samples), step)]
        return [(stretch[0][0], max(row[1] for row in stretch), max(row[2] for row in stretch)) for stretch in stretches]


def programs_of(pid: int) -> list[int]:
    """The processes that ``pid`` started, and those that they did."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a process may have ended
            own = [int(word) for word in children.read_text().split()]
            found += [*own, *(one for child in own for one in programs_of(child))]
    return found


def memory_of(pid: int) -> tuple[float, float]:
    """Resident MB of a process now, and its peak; 0 if it has ended."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        values = (re.search(rf"{key}:\s+(\d+) kB", status) for key in ("VmRSS", "VmHWM"))
        now, peak = (int(value[1]) / 1000 if value else 0.0 for value in values)
        return now, peak
    return 0.0, 0.0


def run(source: Path, output: Path, encoder: str) -> dict[str, Any]:
    """Encode ``source`` as `gpu-saliency encode` does; return counts, sizes in bytes, memory in MB and times."""
    clip = probe_clip(source)
    settings = EncodeSettings(encoder, FASTEST.get(encoder))
    with Memory() as memory:
        result = encode_clip(EncodeRequest(clip, output, encode=settings), Reporter())
    assert result.analysis is not None
    assert result.roi is not None
    assert result.analysis.path is not None
    sidecar = result.analysis.sidecar
    job = prepare_encode(clip, settings).timed_like(sidecar)
    assert job.channel is not None
    plan = job.plan(sidecar, result.roi.policy)
    # The plan's files of each part: a graph, and the map of a channel that has one.
    graphs, maps = [], 0
    for part in job.channel.split(plan):
        with tempfile.TemporaryDirectory() as folder:
            graphs.append(plan_part(job, plan, part, Path(folder)).graph)
            maps += sum(path.stat().st_size for path in Path(folder).iterdir() if path.suffix != ".graph")
    track = sidecar.track
    return {
        "channel": result.roi.channel,
        "frames": track.frame_count,
        "maps": len(track.sample_frame),
        "scenes": len(track.cuts) + 1,
        "segments": len(plan.segment_start),
        "track_bytes": sum(one.nbytes for one in (track.saliency, track.gaze, track.activity) if one is not None),
        "sidecar_bytes": result.analysis.path.stat().st_size,
        "plan_bytes": plan.qp_offset.nbytes,
        "parts": result.roi.parts,
        "graph_filters_max": max(graph.count("addroi=") for graph in graphs),
        "graph_bytes_max": max(map(len, graphs)),
        "graph_bytes": sum(map(len, graphs)),
        "channel_file_bytes": maps,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "peak_mb_program": round(memory.peak_of_program),
        "peak_mb_programs_together": round(max(row[2] for row in memory.samples)),
        "seconds": {name: round(value, 1) for name, value in result.seconds.items()},
        "memory": memory.thinned(),
        "memory_columns": [
            "seconds",
            "MB of this process, most in the stretch",
            "MB of all programs together, most in the stretch",
        ],
    }


def times(path: Path) -> NDArray[np.float64]:
    """Presentation times of the video packets in seconds, sorted, the first 0."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        base = video.time_base or Fraction(1)
        found = np.sort([packet.pts * float(base) for packet in container.demux(video) if packet.pts is not None and packet.size])
    return np.asarray(found - found[0], np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--encoder", choices=FASTEST, default="libx264")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run[0], options.run[1], options.encoder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "source.mp4"), Path(folder, "out.mp4")
        generate(source, round(options.minutes * 60 * FPS))
        command = [sys.executable, __file__, "--encoder", options.encoder, "--run", str(source), str(output)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        before, after = times(source), times(output)
        found["frames_written"] = len(after)
        found["worst_time_stamp_ms"] = float(1000 * np.abs(before - after).max()) if len(before) == len(after) else None
        facts = about_run()
    if options.json:
        options.json.write_text(json.dumps(facts | {"encoder": options.encoder, **found}, indent=1))
    for name, value in found.items():
        print(f"{name:<26} {value:>15,}" if isinstance(value, int) else f"{name:<26} {value!s:>15}")


if __name__ == "__main__":
    main()
