"""A saliency model on GPUs: one checked file, from which each GPU makes its sessions.

Every session is made for one shape. With all sides known ONNX Runtime folds the arithmetic on shapes away while it loads the model;
it would run that arithmetic on the CPU otherwise, which is refused here. Options and names: onnxruntime 1.31.1.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.cuda.libraries import load_libraries
from gpu_saliency.analysis.cuda.memory import memory_errors_as_missing, on_gpu
from gpu_saliency.analysis.cuda.session import CudaSession
from gpu_saliency.analysis.settings import PROVIDERS, GpuSettings
from gpu_saliency.errors import ModelError
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import InputSize, ModelContract, describe_model, first_line
from gpu_saliency.model.runtime import import_onnxruntime

DEFAULT_BATCH_SIZE = 16


class CudaModel:
    """A model that has been checked against its contract on every GPU."""

    def __init__(self, path: Path, settings: GpuSettings) -> None:
        """Load and check ``path``, on every GPU of ``settings``. Raises `ModelError` or `ToolMissingError`."""
        self.path, self._settings = path, settings
        self._facts = describe_model(path)
        self._ort = import_onnxruntime()
        # Errors are raised as one line; the log would repeat them in many.
        self._ort.set_default_logger_severity(4)
        load_libraries(self._ort, settings)
        self.contract = ModelContract.read(path, self._contract_session())
        self.batch_size = 1 if self.contract.batch_size == 1 else settings.batch_size or DEFAULT_BATCH_SIZE
        self.provider = PROVIDERS[settings.provider]
        self._sessions: dict[tuple[int, int, InputSize], CudaSession] = {}
        for gpu in settings.gpus:
            with memory_errors_as_missing(gpu):
                self.session(gpu, self.batch_size, self.input_size(Fraction(16, 9))).check()

    def input_size(self, aspect: float | Fraction) -> InputSize:
        return self.contract.input_size(aspect)

    @property
    def attention(self) -> AttentionCurve | None:
        return self.contract.attention

    def describe(self) -> dict[str, Any]:
        return dict(self._facts)

    def _contract_session(self) -> Any:
        """A session on the CPU from which only names and shapes are read; it runs no inference."""
        options = self._ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return self._ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise ModelError(
                f"{self.path}: is not a usable ONNX model: {first_line(error)}", cure="give a valid ONNX file"
            ) from error

    def session(self, gpu: int, batch_size: int, size: InputSize) -> CudaSession:
        """The session for that shape on that GPU; made once."""
        key = (gpu, batch_size, size)
        if key not in self._sessions:
            self._sessions[key] = CudaSession(
                self.path, self.contract, self._ort, self._settings, gpu, batch_size, size, self._facts["sha256"]
            )
        return self._sessions[key]

    def forget(self, batch_size: int) -> None:
        """Release the sessions of that batch size and their memory, once they have finished."""
        for (gpu, batch, _), session in self._sessions.items():
            if batch == batch_size:
                with on_gpu(gpu):
                    session.cuda_stream.synchronize()
        self._sessions = {key: session for key, session in self._sessions.items() if key[1] != batch_size}
