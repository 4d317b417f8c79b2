"""Probes this machine's GPUs in a child process (probe_child.py), and raises the first problem with its cure."""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.cuda.child import SECONDS, run_probe_child
from gpu_saliency.analysis.cuda.memory import cuda_error
from gpu_saliency.analysis.cuda.nvdec_caps import Caps, CapsSource
from gpu_saliency.analysis.cuda.probe_child import NVDEC_FORMATS
from gpu_saliency.analysis.settings import NO_DRIVER, PROVIDERS, GpuSettings
from gpu_saliency.errors import ToolMissingError, setting
from gpu_saliency.model.runtime import import_onnxruntime, installed_runtimes

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
    driver_version: str | None = None
    """The version of the driver's kernel module; ``None`` if it cannot be read."""
    caps: dict[str, Caps | None] = field(default_factory=dict)
    """The answers of `CapsSource.ask` so far, by ``gpu/codec/chroma/bits``."""

    def decoder_caps(self, gpu: int, codec: str, chroma: str, bits: int) -> Caps | None:
        """The answer of GetDecoderCaps; ``None`` where NVDEC does not decode that format. Raises `ToolMissingError`."""
        self._ask(gpu, [f"{codec}/{chroma}/{bits}"])
        return self.caps[f"{gpu}/{codec}/{chroma}/{bits}"]

    def ask_all(self) -> GpuMachine:
        """Ask for all formats that some NVDEC decodes; returns the machine, or one with the error of NVDEC."""
        if self.driver_error is None and self.nvdec_error is None:
            try:
                for gpu in self.gpus:
                    self._ask(gpu.number, NVDEC_FORMATS)
            except ToolMissingError as error:
                return replace(self, nvdec_error=error.problem)
        return self

    def _ask(self, gpu: int, formats: Sequence[str]) -> None:
        # A codec that NVDEC has not, such as ProRes, is not asked for.
        formats = [one for one in formats if f"{gpu}/{one}" not in self.caps]
        known = [one for one in formats if one in NVDEC_FORMATS]
        one = self.gpus[gpu]
        source = CapsSource(gpu, f"{one.name} {one.memory_bytes} {one.compute}", self.driver_version, self.nvdec_version)
        answers = source.ask(known) if known else {}
        self.caps.update({f"{gpu}/{one}": answers.get(one) for one in formats})

    def engines(self, gpu: int) -> int:
        """The number of NVDEC engines of a GPU; 1 if no format was asked for that it decodes."""
        numbers = [caps["num_decoder_engines"] for key, caps in self.caps.items() if caps and key.startswith(f"{gpu}/")]
        return max([1, *numbers])

    def to_json(self) -> dict[str, Any]:
        """The object that ``doctor`` prints."""
        decodes = sorted({key.split("/", 1)[1].replace("/", " ") for key, caps in self.caps.items() if caps})
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
        return GpuMachine(f"{NO_DRIVER} (libcuda.so.1 was not found)")
    try:
        return _machine(*run_probe_child())
    except subprocess.TimeoutExpired:
        return GpuMachine(f"the NVIDIA driver did not respond within {SECONDS} s")


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
        driver_version(),
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
    return probe().ask_all().to_json() | {"driver": driver_version()}


def driver_version() -> str | None:
    """The version of the driver's kernel module; ``None`` if it cannot be read."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.\d+[.\d]*)\s", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return None
    return found[1] if found else None
