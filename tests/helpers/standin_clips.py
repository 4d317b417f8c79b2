"""Clips for the tests on the stand-in driver, and their analyses."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from clips import ffmpeg
from gpu_standin.control import Driver
from gpu_standin.pictures import write_pictures

from gpu_saliency.analysis.cuda.device import CudaDevice
from gpu_saliency.analysis.device import AnalysisResult, Device, Model
from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling

CUT = 31
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", 10, "-bf", 2)
SAMPLING = Sampling(Fraction(3))
TRACK = ("saliency", "gaze", "activity", "sample_frame", "motion", "frame_pts", "cuts", "frame_count")


@dataclass(frozen=True)
class StandinClip:
    """A clip and the file of its pictures, which the stand-in NVDEC delivers."""

    clip: Clip
    pictures: Path

    def analyse(self, driver: Driver | None, model_path: Path, **more: Any) -> AnalysisResult:
        """Analyse every third frame on ``cuda``, or on the CPU where ``driver`` is ``None``; ``more`` as in `start`."""
        hooks = {name: more.pop(name) for name in ("on_progress", "on_notice") if name in more}
        device, model = self.device(driver, model_path, **more)
        return analyse_clip(self.clip, model, device, SAMPLING, **hooks)

    def device(
        self, driver: Driver | None, path: Path, *, decoders: str = "1", batch_size: int = 4, gpus: tuple[int, ...] = (0,)
    ) -> tuple[Device, Model]:
        """The device, and the model, which is loaded once for each batch size and choice of GPUs."""
        if driver is None:
            return _load("cpu", path, GpuSettings())
        if self.pictures.exists():
            driver.pictures(self.pictures)
        settings = GpuSettings(gpus=gpus, batch_size=batch_size)
        return CudaDevice(replace(settings, decoders=decoders)), _load("cuda", path, settings)[1]


@functools.cache
def _load(name: str, path: Path, settings: GpuSettings) -> tuple[Device, Model]:
    device, model, _ = choose_device(name, path, settings)
    return device, model


def make_standin_clip(folder: Path, *codec: object, name: str = "clip.mp4", size: str = "322x180", frames: int = 80) -> StandinClip:
    """Moving coloured figures, a fractal from frame `CUT` on, 24 frames a second; ``codec`` are ffmpeg's options of the encoder."""
    path = folder / name
    scenes = (f"testsrc2=size={size}:rate=24,trim=end_frame={CUT}", f"mandelbrot=size={size}:rate=24,trim=end_frame={frames - CUT}")
    inputs = [word for scene in scenes for word in ("-f", "lavfi", "-i", scene)]
    ffmpeg(*inputs, "-filter_complex", "concat", *codec, path)
    return StandinClip(probe_clip(path), write_pictures(path, path.with_suffix(".pictures")))


def differences(found: AnalysisResult, expected: AnalysisResult) -> list[str]:
    """The fields of the track in which two analyses differ in any bit."""
    pairs = ((name, getattr(found.track, name), getattr(expected.track, name)) for name in TRACK)
    return [name for name, one, other in pairs if not np.array_equal(one, other)]
