"""Probes this machine's GPUs in a child process (probe_child.py), and raises the first problem with its cure."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.cuda.memory import cuda_error
from gpu_saliency.analysis.settings import PROVIDERS, GpuSettings
from gpu_saliency.errors import setting
from gpu_saliency.model.runtime import import_onnxruntime, installed_runtimes
from gpu_saliency.process import children

_SECONDS = 120
"""Timeout of the probe in seconds; the first start of eight sleeping GPUs takes tens of seconds."""
INSTALL = "run pip uninstall -y onnxruntime, then pip install 'gpu-saliency[gpu]'"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, as its driver describes it."""

    number: int
    name: str
    memory_bytes: int
    compute: str
    """Compute capability, such as ``9.0``."""


@dataclass(frozen=True, slots=True)
class GpuMachine:
    """The GPUs of this machine and the state of their software; each ``*_error`` is ``None`` if that part works."""

    driver_error: str | None
    cuda: str | None = None
    """The newest version of CUDA that the driver supports, such as ``13.0``."""
    gpus: tuple[Gpu, ...] = ()
    nvcuvid_error: str | None = "was not probed"
    cupy_error: str | None = "was not probed"
    cupy_missing: bool = False
    cupy_version: str | None = None
    nvdec_error: str | None = "was not probed"
    nvdec_version: str | None = None
    """Version of PyNvVideoCodec."""
    caps: dict[str, dict[str, int]] = field(default_factory=dict)
    """The results of GetDecoderCaps for the formats that NVDEC decodes, by ``gpu/codec/chroma/bits``."""

    def decoder_caps(self, gpu: int, codec: str, chroma: str, bits: int) -> dict[str, int] | None:
        return self.caps.get(f"{gpu}/{codec}/{chroma}/{bits}")

    def engines(self, gpu: int) -> int:
        """The number of NVDEC engines of a GPU; 1 if it is not known."""
        numbers = [caps["num_decoder_engines"] for key, caps in self.caps.items() if key.startswith(f"{gpu}/")]
        return max([1, *numbers])

    def to_json(self) -> dict[str, Any]:
        """The object that ``doctor`` prints."""
        decodes = sorted({key.split("/", 1)[1].replace("/", " ") for key in self.caps})
        return {
            "driver_error": self.driver_error,
            "cuda": self.cuda,
            "gpus": [
                {"name": gpu.name, "memory_bytes": gpu.memory_bytes, "compute": gpu.compute, "engines": self.engines(gpu.number)}
                for gpu in self.gpus
            ],
            "libnvcuvid_error": self.nvcuvid_error,
            "cupy_error": self.cupy_error,
            "pynvvideocodec_error": self.nvdec_error,
            "decodes": decodes,
        }


@functools.cache
def probe() -> GpuMachine:
    """Probe the GPUs, once per process. A crash of the child process is reported as the error of the driver or library."""
    try:
        # This test avoids the child process on machines without a driver.
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return GpuMachine("there is no NVIDIA driver (libcuda.so.1 was not found)")
    # -P: Python must import this package, not a module of the same name in the current folder.
    command = [sys.executable, "-P", "-m", "gpu_saliency.analysis.cuda.probe_child"]
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    try:
        done = children.run(command, _SECONDS, env=environment, text=True)
    except subprocess.TimeoutExpired:
        return GpuMachine(f"the NVIDIA driver did not respond within {_SECONDS} s")
    sections: dict[str, dict[str, Any]] = {}
    for line in done.stdout.splitlines():
        sections |= json.loads(line)
    return _machine(sections, _ending(done))


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    """The error of a section that is missing: how the child process ended, and its last line."""
    words = [line for line in done.stderr.splitlines() if line.strip()]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    return f"probing it ended the process ({how}{': ' + words[-1].strip()[:200] if words else ''})"


def _machine(sections: dict[str, dict[str, Any]], ending: str) -> GpuMachine:
    def error_of(name: str) -> str | None:
        found = sections.get(name)
        return ending if found is None else found.get("error")

    driver_error = error_of("driver")
    if driver_error is not None:
        return GpuMachine(f"the NVIDIA driver does not work: {driver_error}")
    driver, cupy, nvdec = (sections.get(name, {}) for name in ("driver", "cupy", "pynvvideocodec"))
    if not driver["gpus"]:
        return GpuMachine("the NVIDIA driver finds no GPU", cuda=driver["cuda"])
    return GpuMachine(
        None,
        driver["cuda"],
        tuple(Gpu(number, **gpu) for number, gpu in enumerate(driver["gpus"])),
        error_of("nvcuvid"),
        error_of("cupy"),
        bool(cupy.get("missing")),
        cupy.get("version"),
        error_of("nvcuvid") or error_of("pynvvideocodec"),
        nvdec.get("version"),
        nvdec.get("caps", {}),
    )


def require_cuda(settings: GpuSettings) -> GpuMachine:
    """Probe the machine. Raises `ToolMissingError` with the first reason why the GPUs of ``settings`` cannot be used."""
    machine = probe()
    if machine.driver_error is not None:
        raise cuda_error(machine.driver_error, "install the NVIDIA driver, or start the container with --gpus all")
    for number in settings.gpus:
        if number >= len(machine.gpus):
            have = ", ".join(f"{gpu.number} ({gpu.name})" for gpu in machine.gpus)
            raise cuda_error(f"there is no GPU {number}", f"give {setting('gpus')} numbers of these GPUs: {have}")
    require_runtime(settings.provider)
    if machine.cupy_error is not None:
        if machine.cupy_missing:
            raise cuda_error("CuPy is not installed", INSTALL)
        raise cuda_error(
            f"CuPy does not work: {machine.cupy_error}; the driver supports CUDA {machine.cuda}",
            f"for CUDA 13 install driver 580 or newer; if it is installed, {INSTALL}",
        )
    return machine


def require_runtime(provider: str) -> None:
    """Raise `ToolMissingError` unless the installed ONNX Runtime has ``provider``."""
    if "onnxruntime-gpu" not in installed_runtimes():
        import_onnxruntime()  # raises another error if no ONNX Runtime is installed
        raise cuda_error("the installed ONNX Runtime supports CPUs only", INSTALL)
    wanted, offered = PROVIDERS[provider], import_onnxruntime().get_available_providers()
    if wanted not in offered:
        raise cuda_error(f"ONNX Runtime has no {wanted}, only {', '.join(offered)}", INSTALL)


def describe_gpu() -> dict[str, Any]:
    """The facts about the GPUs and their driver that ``doctor`` and ``bench`` print."""
    return probe().to_json() | {"driver": driver_version()}


def driver_version() -> str | None:
    """The version of the driver's kernel module; ``None`` if it cannot be read."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.\d+[.\d]*)\s", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return None
    return found[1] if found else None
