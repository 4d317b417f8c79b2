"""Measures the latency from a file name to the first batch of maps, in this process or in a new one.

Run as a program it reads the settings, opens the device and the clip, and prints the time of the first maps on the monotonic clock.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.device import Device, Model
from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.settings import AnalysisSettings, GpuSettings
from gpu_saliency.bench.stages import Timed
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.process import children
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling

_SECONDS = 300
"""Timeout of the new process; the first start of a GPU and of a model on it takes tens of seconds."""


def warm_first_map(path: Path, device: Device, model: Model, sampling: Sampling) -> Timed:
    """Time the first batch of maps of ``path`` with a device and a model that are in use; the end of the run is not in it."""
    started = time.monotonic()
    count, arrived = _first_map(path, device, model, lambda _: sampling)
    return Timed(count, arrived - started)


def _first_map(path: Path, device: Device, model: Model, sampling_of: Callable[[Clip], Sampling]) -> tuple[int, float]:
    """Probe ``path`` and run its analysis up to the first batch of maps.

    Returns their number, and the time on the monotonic clock when they were on the host.
    """
    clip = probe_clip(path)
    run = device.start(clip, model, sampling_of(clip))
    with contextlib.closing(run.batches()) as batches:
        batch = next(batches)
        maps = run.infer(batch)
        if device.name != "cuda":
            return len(maps.saliency), time.monotonic()
        # Imported lazily, so that an unused device costs nothing.
        from gpu_saliency.analysis.cuda.memory import on_gpu, to_host

        session = batch.lane.session
        with on_gpu(session.gpu):
            (saliency,) = to_host([maps.saliency], session.cuda_stream)
        return len(saliency), time.monotonic()


def cold_first_map(path: Path, settings: AnalysisSettings, device: str, batch_size: int) -> float:
    """Seconds from the start of a new Python process to its first maps of ``path``, on ``device``.

    Nothing of this process is reused; the system's caches of files, and the kernels that CuPy keeps on disk, are.
    Raises `ToolMissingError` if the process fails.
    """
    given = {
        "path": str(path),
        "model": str(settings.model_path),
        "fps": None if settings.analysis_fps is None else str(settings.analysis_fps),
        "every": settings.every,
        "device": device,
        "gpu": asdict(settings.gpu) | {"batch_size": batch_size},
    }
    started = time.monotonic()
    try:
        done = children.run_module("gpu_saliency.bench.first_map", [json.dumps(given)], _SECONDS)
    except subprocess.TimeoutExpired:
        raise ToolMissingError(f"{path}: no map within {_SECONDS} s in a new process", cure="try again") from None
    try:
        return float(done.stdout.strip().splitlines()[-1]) - started
    except (IndexError, ValueError):
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ToolMissingError(f"{path}: the first map failed in a new process: {words[-1][:300]}", cure="try again") from None


def _main(given: dict[str, Any]) -> None:
    gpu = GpuSettings(**given["gpu"] | {"gpus": tuple(given["gpu"]["gpus"])})
    fps = None if given["fps"] is None else Fraction(given["fps"])
    settings = AnalysisSettings(given["model"], analysis_fps=fps, every=given["every"], device=given["device"], gpu=gpu)
    device, model, _ = choose_device(settings.device, settings.model_path, settings.gpu)
    if isinstance(model, SaliencyModel) and model.batch_size > 1:
        model.contract = replace(model.contract, batch_size=gpu.batch_size)  # as in `CpuStages`
    print(_first_map(Path(given["path"]), device, model, settings.sampling)[1], flush=True)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
