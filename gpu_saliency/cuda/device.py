from __future__ import annotations

from pathlib import Path

from gpu_saliency.clip import Clip
from gpu_saliency.cuda.probe import require_cuda
from gpu_saliency.device import Model, Run
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.gpu import GpuSettings
from gpu_saliency.sampling import Sampling


class CudaDevice:
    name = "cuda"

    def __init__(self, settings: GpuSettings) -> None:
        self._machine = require_cuda(settings)
        raise ToolMissingError("--device cuda: in work")

    def load_model(self, path: Path) -> Model:
        raise NotImplementedError

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> Run:
        raise NotImplementedError
