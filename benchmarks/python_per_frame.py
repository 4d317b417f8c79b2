"""Measures the computing time of the host for each frame of a lane of ``cuda``, on the stand-in driver.

    scripts/test-standin --run .venv/bin/python benchmarks/python_per_frame.py

It needs no GPU: kernels and copies are empty, so what is left is demuxing, PyNvVideoCodec's calls and this package's Python. It
prints the median over the runs of the thread's computing time for each frame: without samples, and with every sixth frame sampled.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import _paths  # noqa: F401
from bad_input import save_model
from clips import ffmpeg
from gpu_standin.control import Counts, Driver
from gpu_standin.pictures import write_pictures

from gpu_saliency.analysis.cuda.device import CudaDevice, CudaRun
from gpu_saliency.analysis.cuda.lane import Slot
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling

CODECS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast", "-g", 120, "-bf", 2),
    "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-g", 120, "-x265-params", "log-level=error"),
}
NEVER = sys.maxsize


def run_lane(run: CudaRun, sampled: Iterator[int]) -> float:
    """Microseconds of this thread for each frame of one whole lane; slots are given back at once."""
    target = run._ranges[0].emptied()
    (lane,) = run._lanes([target], threading.Event(), lambda _: sampled)
    began = time.thread_time_ns()
    for item in lane.batches():
        if isinstance(item, Slot):
            lane.give_back(item)
    return (time.thread_time_ns() - began) / target.frames / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--codec", choices=CODECS, default="h264")
    given = parser.parse_args()
    driver = Driver()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        source = f"testsrc2=size=96x64:rate=24,trim=end_frame={given.frames}"
        ffmpeg("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", *CODECS[given.codec], path)
        driver.pictures(write_pictures(path, Path(folder) / "clip.pictures"))
        model_path = save_model(Path(folder) / "model.onnx", outputs=("saliency_map", "gaze_map"))
        settings = GpuSettings()
        device = CudaDevice(settings)
        model = device.load_model(model_path)
        run: Any = device.start(probe_clip(path), model, Sampling(Fraction(6)))
        driver.schedule("empty")
        kinds: dict[str, Callable[[], Iterator[int]]] = {
            "no sample": lambda: itertools.repeat(NEVER),
            "every sixth frame": lambda: itertools.count(3, 6),
        }
        times: dict[str, list[float]] = {name: [] for name in kinds}
        counts: dict[str, Counts] = {}
        # The kinds alternate, so that a busy moment of the machine meets both.
        for _ in range(given.runs):
            for name, sampled in kinds.items():
                before = driver.counts()
                times[name].append(run_lane(run, sampled()))
                counts[name] = driver.counts() - before
        for name, all_times in times.items():
            one = counts[name]
            print(
                f"{given.codec}, {name}: {statistics.median(all_times):.1f} us a frame"
                f" (least {min(all_times):.1f}, most {max(all_times):.1f}; {given.runs} runs of {given.frames} frames); a frame has"
                f" {one.launches / given.frames:.3f} launches, {one.host_waits / given.frames:.3f} waits of the host"
            )
        driver.schedule("eager")


if __name__ == "__main__":
    main()
