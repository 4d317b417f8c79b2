"""Chooses the device for the benchmark, loads the model and prepares the stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.bench.cpu_stages import CpuStages
from gpu_saliency.bench.stages import Stages
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling

if TYPE_CHECKING:
    from gpu_saliency.analysis.cuda.model import CudaModel


@dataclass(frozen=True, slots=True)
class LoadedStages:
    """The stages of the chosen device, ready to be measured, with the device's facts."""

    device: str
    reason: str
    """The reason for the choice of the device."""
    model: SaliencyModel | CudaModel
    stages: Stages
    gpu: dict[str, Any] | None
    """Facts about the GPUs (`describe_gpu`); ``None`` on ``cpu``."""


def load_stages(clip: Clip, settings: AnalysisSettings, sampling: Sampling, batch_size: int) -> LoadedStages:
    """Choose the device and load the model as the analysis does. Raises the errors of `choose_device`."""
    device, model, reason = choose_device(settings.device, settings.model_path, replace(settings.gpu, batch_size=batch_size))
    if isinstance(model, SaliencyModel):
        return LoadedStages(device.name, reason, model, CpuStages(clip, model, sampling, batch_size), None)
    # Imported lazily, so that an unused device costs nothing.
    from gpu_saliency.analysis.cuda.device import CudaDevice
    from gpu_saliency.analysis.cuda.model import CudaModel
    from gpu_saliency.analysis.cuda.probe import describe_gpu
    from gpu_saliency.bench.cuda_stages import CudaStages

    assert isinstance(device, CudaDevice)
    assert isinstance(model, CudaModel)
    return LoadedStages(device.name, reason, model, CudaStages(clip, device, model, sampling), describe_gpu())
