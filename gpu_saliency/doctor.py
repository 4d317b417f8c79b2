"""The self-test behind ``gpu-saliency doctor``: encodes a small clip with every encoder and proves that each follows its plan."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.device import CudaDevice
from gpu_saliency.analysis.cuda.probe import GpuMachine, probe
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.encode.encoders import ENCODERS, SOFTWARE, EncoderSpec
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, candidates, probe_ffmpeg
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.errors import GpuSaliencyError, Spelling
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.model.runtime import import_onnxruntime, installed_runtimes
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.progress import Observer
from gpu_saliency.proof import prove_encode
from gpu_saliency.results import PassedOver
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

_PACKAGES = ("gpu-saliency", "numpy", "av", "rich", "typer", "imageio-ffmpeg", "cupy-cuda13x", "PyNvVideoCodec")
_WIDTH, _HEIGHT, _FRAMES = 320, 192, 48


@dataclass(frozen=True, slots=True)
class EncoderReport:
    """The result of one encoder's test encode."""

    channel: str | None = None
    passed_over: tuple[PassedOver, ...] = ()
    """Better channels that could not be used, with the reasons."""
    ffmpeg: str | None = None
    """Path of the ffmpeg that encoded."""
    moved: bool | None = None
    """Whether bits moved as planned; ``None``: the proof has no verdict, or the encode failed."""
    summary: str | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"passed_over": [asdict(one) for one in self.passed_over]}


@dataclass(frozen=True, slots=True)
class FfmpegReport:
    """One ffmpeg that a run without ``ffmpeg_bin`` considers."""

    origin: str
    path: str
    version: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """The test of ONNX Runtime with the default model."""

    providers: tuple[str, ...]
    model: dict[str, Any] | None
    error: str | None

    def to_json(self) -> dict[str, Any]:
        return {"providers": list(self.providers), "model": self.model, "error": self.error}


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The components that work on this machine, and the errors of the others. Produced by `check_machine`."""

    python: str
    packages: Mapping[str, str | None]
    """Installed version by package; ``None`` where the package is missing."""
    runtime: RuntimeReport
    ffmpeg: tuple[FfmpegReport, ...]
    encoders: dict[str, EncoderReport]
    gpu: GpuMachine
    obstacle: str | None
    """The reason why the model cannot run on the GPU; ``None`` where it runs."""

    @property
    def healthy(self) -> bool:
        """Whether the model runs on the CPU, and the bits of every software encoder moved as planned."""
        return self.runtime.error is None and all(self.encoders[spec.name].moved is True for spec in SOFTWARE)

    def to_json(self) -> dict[str, Any]:
        """The object that ``doctor --json`` prints; docs/result.md describes it."""
        return {
            "python": self.python,
            "packages": dict(self.packages),
            "runtime": self.runtime.to_json(),
            "ffmpeg": [asdict(one) for one in self.ffmpeg],
            "encoders": {name: report.to_json() for name, report in self.encoders.items()},
            "gpu": self.gpu.to_json() | {"obstacle": self.obstacle},
            "healthy": self.healthy,
        }


def check_machine(ffmpeg_bin: str = DEFAULT_FFMPEG, observer: Observer | None = None) -> DoctorReport:
    """Check which encoders and devices work on this machine, with a test encode for each encoder.

    ``ffmpeg_bin`` is the path or name of an ffmpeg; by default the one on PATH is used if it has the encoder, else the bundled one.
    What does not work is reported, not raised. Takes about a quarter of a minute.
    """
    observer = observer or Observer()
    spell = observer.spell
    encoders: dict[str, EncoderReport] = {}
    with temporary_folder() as folder, observer.stage("testing each encoder", "encoders") as advance:
        clip = make_test_clip(folder / "test.yuv")
        for spec in ENCODERS.values():
            encoders[spec.name] = _try_encoder(spec, clip, ffmpeg_bin, folder, spell)
            advance(len(encoders), len(ENCODERS))
    return DoctorReport(
        python=platform.python_version(),
        packages={**{name: _version(name) for name in _PACKAGES}, **installed_runtimes()},
        runtime=_try_runtime(spell),
        ffmpeg=tuple(_describe_ffmpeg(origin, path, spell) for origin, path in candidates()),
        encoders=encoders,
        gpu=probe().ask_all(),
        obstacle=_obstacle(spell),
    )


def make_test_clip(path: Path) -> Clip:
    """Write two seconds of raw 320x192 video: a texture of uneven contrast that drifts by 1.5 pixels a frame, under fine grain.

    Encoders must interpolate the half pixels, so every block takes bits; coarse grain would hide the effect of an ROI.
    """
    rng = np.random.default_rng(11)
    texture = np.zeros((_HEIGHT, _WIDTH))
    for cell in (32, 16, 8, 4, 2):
        coarse = rng.standard_normal((_HEIGHT // cell, _WIDTH // cell))
        texture += np.kron(coarse, np.ones((cell, cell))) * cell**0.5
    texture *= np.kron(rng.uniform(1, 6, (_HEIGHT // 16, _WIDTH // 16)), np.ones((16, 16)))
    chroma = np.full(_HEIGHT * _WIDTH // 2, 128, np.uint8).tobytes()
    with path.open("wb") as file:
        for i in range(_FRAMES):
            moved = (np.roll(texture, 3 * i // 2, axis=1) + np.roll(texture, (3 * i + 1) // 2, axis=1)) / 2
            luma = 128 + moved + rng.normal(0, 1, texture.shape)
            file.write(np.clip(luma, 16, 235).astype(np.uint8).tobytes() + chroma)
    return probe_clip(path, width=_WIDTH, height=_HEIGHT)


def _try_encoder(spec: EncoderSpec, clip: Clip, ffmpeg_bin: str, folder: Path, spell: Spelling) -> EncoderReport:
    """Encode ``clip`` with its left half 6 QP better than its right one, and check that the bits moved."""
    report = EncoderReport()
    rows, cols = grid_shape(clip.width, clip.height)
    offsets = np.full((1, rows, cols), 2, np.int8)
    offsets[:, :, : cols // 2] = -4
    policy = RoiPolicy(offset=-4, segments="clip")
    plan = RoiPlan(offsets, np.zeros(1, np.float32), np.array([0]), _FRAMES, clip.width, clip.height, policy)
    output = folder / f"{spec.name}{spec.suffixes[0] if spec.suffixes else '.mkv'}"
    try:
        job = prepare_encode(clip, EncodeSettings(spec.name, spec.fastest_preset, ffmpeg_bin=ffmpeg_bin))
        report = EncoderReport(
            channel=None if job.channel is None else job.channel.name,
            passed_over=tuple(PassedOver(name, reason) for name, reason in job.passed_over),
            ffmpeg=job.ffmpeg.path,
        )
        run_saliency_encode(job, plan, output)
        proof = prove_encode(job, plan, output, max_frames=None)
    except GpuSaliencyError as error:
        return replace(report, error=error.line(spell))
    return replace(report, moved=proof.moved, summary=proof.summary())


def _try_runtime(spell: Spelling) -> RuntimeReport:
    try:
        providers = import_onnxruntime().get_available_providers()
        model = SaliencyModel(DEFAULT_MODEL)
    except GpuSaliencyError as error:
        return RuntimeReport((), None, error.line(spell))
    return RuntimeReport(tuple(providers), model.describe(), None)


def _obstacle(spell: Spelling) -> str | None:
    """Return the reason why the device ``cuda`` cannot run the default model; ``None`` where it can."""
    try:
        CudaDevice(GpuSettings()).load_model(DEFAULT_MODEL)
    except GpuSaliencyError as error:
        return error.line(spell)
    return None


def _describe_ffmpeg(origin: str, path: str, spell: Spelling) -> FfmpegReport:
    try:
        return FfmpegReport(origin, path, probe_ffmpeg(path, origin).version, None)
    except GpuSaliencyError as error:
        return FfmpegReport(origin, path, None, error.line(spell))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
