"""The table of devices, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gpu_saliency.analysis.device import Device, Model
from gpu_saliency.analysis.settings import GpuSettings, check_device
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.source.identity import stat_of


def _cpu(_: GpuSettings) -> Device:
    from gpu_saliency.analysis.cpu import CpuDevice

    return CpuDevice()


def _cuda(settings: GpuSettings) -> Device:
    from gpu_saliency.analysis.cuda.device import CudaDevice

    return CudaDevice(settings)


# Imported lazily, so that an unused device costs nothing.
DEVICES: dict[str, Callable[[GpuSettings], Device]] = {"cpu": _cpu, "cuda": _cuda}
_kept: dict[object, tuple[Device, Model, str]] | None = None
"""What `keep_devices` keeps; ``None``: nothing."""


def choose_device(name: str, model: Path, settings: GpuSettings | None = None) -> tuple[Device, Model, str]:
    """Return the device ``name``, the model loaded on it, and the reason for the choice.

    ``auto`` takes ``cuda`` where it works, else ``cpu`` with the error of ``cuda`` as the reason. ``cpu`` and ``cuda`` never fall
    back.
    Raises `UsageError`, `ToolMissingError` or `ModelError`.
    """
    check_device(name)
    settings = settings or GpuSettings()
    if _kept is None:
        return _choose(name, model, settings)
    key = name, stat_of(model), settings
    if key not in _kept:
        _kept.clear()  # the memory of one model is enough
        _kept[key] = _choose(name, model, settings)
    return _kept[key]


def keep_devices() -> None:
    """Keep the device and the model that were chosen last for the next analysis: for processes that analyse many clips."""
    global _kept
    _kept = _kept or {}


def _choose(name: str, model: Path, settings: GpuSettings) -> tuple[Device, Model, str]:
    try:
        device = DEVICES["cuda" if name == "auto" else name](settings)
        return device, device.load_model(model), "found by auto" if name == "auto" else "asked for"
    except ToolMissingError as error:
        if name != "auto":
            raise
        device = DEVICES["cpu"](settings)
        return device, device.load_model(model), f"auto: {error.problem}"
