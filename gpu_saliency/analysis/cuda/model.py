"""A saliency model on GPUs: one checked file, and a session for each GPU and input shape.

Every session is made for one input shape. If all dimensions are known, ONNX Runtime evaluates the arithmetic on shapes while it
loads the model; otherwise it would run that arithmetic on the CPU, which these sessions refuse. Options and names are those of
onnxruntime 1.31.1.
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
from gpu_saliency.model.contract import InputSize, ModelContract, first_line
from gpu_saliency.model.file import ModelFile
from gpu_saliency.model.runtime import import_onnxruntime
from gpu_saliency.model.trial import try_model

DEFAULT_BATCH_SIZE = 16


class CudaModel:
    """A saliency model, checked against the contract on every GPU."""

    def __init__(self, path: Path, settings: GpuSettings) -> None:
        """Load and check ``path``, on every GPU of ``settings``. Raises `ModelError` or `ToolMissingError`."""
        self.path, self._settings = path, settings
        file = ModelFile.read(path)
        self._facts = file.describe()
        if not file.is_shipped:
            try_model(file)
        self._ort = import_onnxruntime()
        # Errors are raised as one line; ONNX Runtime's log would repeat them in many lines.
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
        """Make a session on the CPU, to read names, shapes and metadata of the model; it runs no inference."""
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
        """The session for that batch and input size on ``gpu``; made at the first call."""
        key = (gpu, batch_size, size)
        if key not in self._sessions:
            self._sessions[key] = CudaSession(
                self.path, self.contract, self._ort, self._settings, gpu, batch_size, size, self._facts["sha256"]
            )
        return self._sessions[key]

    def forget(self, batch_size: int) -> None:
        """Wait for the sessions of that batch size, and release them and their memory."""
        for (gpu, batch, _), session in self._sessions.items():
            if batch == batch_size:
                with on_gpu(gpu):
                    session.cuda_stream.synchronize()
        self._sessions = {key: session for key, session in self._sessions.items() if key[1] != batch_size}
