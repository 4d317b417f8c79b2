"""The stages of the device that was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gpu_saliency.bench.cpu_stages import CpuStages
from gpu_saliency.bench.stages import Stages
from gpu_saliency.clip import Clip
from gpu_saliency.device import Model, choose_device
from gpu_saliency.model import SaliencyModel
from gpu_saliency.saliency import AnalysisSettings
from gpu_saliency.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Loaded:
    """A device, ready to be measured."""

    device: str
    reason: str
    """Why this device."""
    model: Model
    stages: Stages
    gpu: dict[str, Any] | None
    """What is known of the GPU; ``None`` where it is not one."""


def load_stages(clip: Clip, settings: AnalysisSettings, sampling: Sampling, batch_size: int) -> Loaded:
    """Choose the device and load the model, as an analysis does. Raises what `choose_device` does."""
    device, model, reason = choose_device(settings.device, settings.model, replace(settings.gpu, batch_size=batch_size))
    if isinstance(model, SaliencyModel):
        return Loaded(device.name, reason, model, CpuStages(clip, model, sampling, batch_size), None)
    # Late: nobody who has no GPU pays for it.
    from gpu_saliency.cuda.device import CudaDevice
    from gpu_saliency.cuda.session import CudaModel
    from gpu_saliency.cuda.stages import CudaStages, describe_gpu

    assert isinstance(device, CudaDevice)
    assert isinstance(model, CudaModel)
    return Loaded(device.name, reason, model, CudaStages(clip, device, model, sampling), describe_gpu())
