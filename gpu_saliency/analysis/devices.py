"""The table of devices and which one to take"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gpu_saliency.analysis.device import Device, Model
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.errors import ToolMissingError, UsageError


def _cpu(_: GpuSettings) -> Device:
    from gpu_saliency.analysis.cpu import CpuDevice

    return CpuDevice()


def _cuda(settings: GpuSettings) -> Device:
    from gpu_saliency.analysis.cuda.device import CudaDevice

    return CudaDevice(settings)


# Imported late, each by its own entry: nobody pays for the device that he does not use.
DEVICES: dict[str, Callable[[GpuSettings], Device]] = {"cpu": _cpu, "cuda": _cuda}


def check_device(name: str) -> None:
    """Raise `UsageError` unless ``name`` is ``auto`` or a device."""
    if name != "auto" and name not in DEVICES:
        raise UsageError(f"--device {name}: unknown", cure="auto, " + ", ".join(DEVICES))


def choose_device(name: str, model: Path, settings: GpuSettings | None = None) -> tuple[Device, Model, str]:
    """The device, the model loaded on it, and why this device.

    ``cpu`` and ``cuda`` are what they say or a `ToolMissingError`; only ``auto`` falls back, and says so. Raises `ModelError` too.
    """
    check_device(name)
    settings = settings or GpuSettings()
    try:
        device = DEVICES["cuda" if name == "auto" else name](settings)
        return device, device.load_model(model), "found by auto" if name == "auto" else "asked for"
    except ToolMissingError as error:
        if name != "auto":
            raise
        device = DEVICES["cpu"](settings)
        return device, device.load_model(model), f"auto: {error.message.removeprefix('--device cuda: ')}"
