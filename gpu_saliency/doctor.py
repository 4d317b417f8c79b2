"""What this machine can do, found out by doing it: each encoder gets a small clip and a known plan, and the bits are looked for."""

from __future__ import annotations

import importlib.metadata
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.device import CudaDevice
from gpu_saliency.analysis.cuda.probe import probe
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.encode.encoders import ENCODERS, SOFTWARE, EncoderSpec
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, candidates, probe_ffmpeg
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.model.runtime import import_onnxruntime, installed_runtimes
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof import prove_encode
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

_PACKAGES = ("gpu-saliency", "numpy", "av", "rich", "typer", "imageio-ffmpeg", "cupy-cuda13x", "PyNvVideoCodec")
_WIDTH, _HEIGHT, _FRAMES = 320, 192, 48


def examine(ffmpeg_bin: str = DEFAULT_FFMPEG) -> dict[str, Any]:
    """Everything that ``gpu-saliency doctor`` prints. Raises nothing for what is missing: that is what it reports."""
    with tempfile.TemporaryDirectory(prefix="gpu_saliency-") as folder:
        clip = make_test_clip(Path(folder, "test.yuv"))
        encoders = {spec.name: _try_encoder(spec, clip, ffmpeg_bin, Path(folder)) for spec in ENCODERS.values()}
    runtime = _try_runtime()
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES} | installed_runtimes(),
        "runtime": runtime,
        "ffmpeg": [_describe_ffmpeg(origin, path) for origin, path in candidates()],
        "encoders": encoders,
        "gpu": probe().to_json() | {"obstacle": _obstacle()},
        "healthy": all(encoders[spec.name]["moved"] is True for spec in SOFTWARE) and runtime["error"] is None,
    }


def make_test_clip(path: Path) -> Clip:
    """Two seconds of raw 320x192 video: a texture of uneven contrast that drifts by 1.5 pixels a frame, under fine grain.

    Half pixels must be interpolated, so that every block takes bits; coarse grain would drown in all encodes what ROI does.
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


def _try_encoder(spec: EncoderSpec, clip: Clip, ffmpeg_bin: str, folder: Path) -> dict[str, Any]:
    """Encode ``clip`` with its left half 6 QP better than its right one, and look whether that is so."""
    result: dict[str, Any] = {"channel": None, "passed_over": [], "ffmpeg": None, "moved": None, "summary": None, "error": None}
    rows, cols = grid_shape(clip.width, clip.height)
    offsets = np.full((1, rows, cols), 2, np.int8)
    offsets[:, :, : cols // 2] = -4
    policy = RoiPolicy(offset=-4, segments="clip")
    plan = RoiPlan(offsets, np.zeros(1, np.float32), np.array([0]), _FRAMES, clip.width, clip.height, policy)
    output = folder / f"{spec.name}{spec.suffixes[0] if spec.suffixes else '.mkv'}"
    try:
        job = prepare_encode(clip, EncodeSettings(spec.name, spec.fastest_preset, ffmpeg_bin=ffmpeg_bin))
        result["ffmpeg"] = job.ffmpeg.path
        result["channel"] = job.channel and job.channel.name
        result["passed_over"] = [{"channel": name, "reason": reason} for name, reason in job.passed_over]
        run_saliency_encode(job, plan, output)
        proof = prove_encode(job, plan, output, max_frames=None)
    except GpuSaliencyError as error:
        return result | {"error": str(error)}
    return result | {"moved": proof.moved, "summary": proof.summary()}


def _try_runtime() -> dict[str, Any]:
    try:
        providers = import_onnxruntime().get_available_providers()
        model = SaliencyModel(DEFAULT_MODEL)
    except GpuSaliencyError as error:
        return {"providers": [], "model": None, "error": str(error)}
    return {"providers": providers, "model": model.describe(), "error": None}


def _obstacle() -> str | None:
    """What is in the way of ``--device cuda``; ``None`` where the model runs there."""
    try:
        CudaDevice(GpuSettings()).load_model(DEFAULT_MODEL)
    except GpuSaliencyError as error:
        return str(error)
    return None


def _describe_ffmpeg(origin: str, path: str) -> dict[str, Any]:
    try:
        found = probe_ffmpeg(path, origin)
    except GpuSaliencyError as error:
        return {"origin": origin, "path": path, "version": None, "error": str(error)}
    return {"origin": origin, "path": path, "version": found.version, "error": None}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
