"""The saliency model on GPUs: ONNX Runtime sessions that run nowhere else, on streams and memory that are ours.

Every session is made for one shape. With all sides known ONNX Runtime folds the arithmetic on shapes away while it loads the model;
it would keep that on the CPU otherwise, which is refused here. Options and names: onnxruntime 1.31.1.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.memory import device_errors, memory_errors_as_missing
from gpu_saliency.analysis.device import DeviceMemoryError
from gpu_saliency.analysis.settings import PROVIDERS, GpuSettings
from gpu_saliency.errors import ModelError, ToolMissingError
from gpu_saliency.model.contract import TOLERANCE, InputSize, ModelContract, breach, describe_model, first_line
from gpu_saliency.model.runtime import import_onnxruntime

DEFAULT_BATCH_SIZE = 16
_LIBRARIES = {
    "CUDAExecutionProvider": "pip install 'gpu-saliency[gpu]' brings CUDA 13 and cuDNN 9",
    "TensorrtExecutionProvider": "pip install 'tensorrt-cu13>=10.13,<11', or --provider cuda",
}
_ENGINE_CACHE = Path("~/.cache/gpu_saliency/tensorrt")


class CudaModel:
    """A model checked against its contract, from which each GPU makes its sessions."""

    def __init__(self, path: Path, settings: GpuSettings) -> None:
        """Load and check ``path``, on every GPU of ``settings``. Raises `ModelError` or `ToolMissingError`."""
        self.path, self._settings = path, settings
        self._facts = describe_model(path)
        self._ort = import_onnxruntime()
        # What goes wrong is raised here as one line; its log would say it again in many.
        self._ort.set_default_logger_severity(4)
        _load_libraries(self._ort, settings)
        self.contract = ModelContract.read(path, self._contract_session())
        self.batch_size = 1 if self.contract.batch_size == 1 else settings.batch_size or DEFAULT_BATCH_SIZE
        self.provider = PROVIDERS[settings.provider]
        self._sessions: dict[tuple[int, int, InputSize], CudaSession] = {}
        for gpu in settings.gpus:
            with memory_errors_as_missing(gpu):
                self.session(gpu, self.batch_size, self.input_size(Fraction(16, 9))).check()

    def input_size(self, aspect: float | Fraction) -> InputSize:
        return self.contract.input_size(aspect)

    def describe(self) -> dict[str, Any]:
        return dict(self._facts)

    def _contract_session(self) -> Any:
        """Only read: names and shapes are the same wherever it runs, and no picture goes through it."""
        options = self._ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return self._ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            raise ModelError(f"{self.path}: is not a usable ONNX model: {first_line(error)}") from error

    def session(self, gpu: int, batch_size: int, size: InputSize) -> CudaSession:
        """For that shape on that GPU; made once."""
        key = (gpu, batch_size, size)
        if key not in self._sessions:
            self._sessions[key] = CudaSession(self, self._ort, self._settings, gpu, batch_size, size, self._facts["sha256"])
        return self._sessions[key]

    def forget(self, batch_size: int) -> None:
        """Let go of the sessions of that batch, and so of their memory, once they have finished."""
        import cupy

        for (gpu, batch, _), session in self._sessions.items():
            if batch == batch_size:
                with cupy.cuda.Device(gpu):
                    session.cuda_stream.synchronize()
        self._sessions = {key: session for key, session in self._sessions.items() if key[1] != batch_size}


class CudaSession:
    """One session for one shape, on a stream of its own. Its answers are ordered by that stream and by nothing else."""

    def __init__(
        self, model: CudaModel, ort: Any, settings: GpuSettings, gpu: int, batch_size: int, size: InputSize, sha256: str
    ) -> None:
        import cupy

        self._contract, self._ort, self.gpu, self.provider = model.contract, ort, gpu, model.provider
        self.shape = (batch_size, 3, size.padded[1], size.padded[0])
        with cupy.cuda.Device(gpu), device_errors():
            self.cuda_stream = cupy.cuda.Stream(non_blocking=True)
            # Every answer goes here, at the same address: float32 [N, H, W].
            self.maps = cupy.empty((batch_size, size.padded[1], size.padded[0]), np.float32)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        # What cannot run on the GPU must be an error; ONNX Runtime would run it on the CPU and say nothing.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        for name, length in free_dimensions(self._contract, self.shape).items():
            options.add_free_dimension_override_by_name(name, length)
        providers = session_providers(settings, gpu, self.cuda_stream.ptr, f"{sha256[:16]}-{batch_size}")
        try:
            with device_errors():
                # enable_fallback=0: the Python wrapper would try again with other providers.
                self._session = ort.InferenceSession(str(model.path), options, providers=providers, enable_fallback=0)
        except (DeviceMemoryError, ToolMissingError):
            raise
        except Exception as error:
            raise self._refused(error) from error
        self._check_placement()
        # By default a run ends with the host waiting for the stream; the consumers of the answer wait on the stream instead.
        self._run_options = ort.RunOptions()
        self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def _refused(self, error: Exception) -> ToolMissingError | ModelError:
        missing = library_error(self._ort, self.provider)
        if missing is not None:
            return ToolMissingError(f"--device cuda: {self.provider} cannot be loaded: {missing}", cure=_LIBRARIES[self.provider])
        path, text = self._contract.path, first_line(error)
        if "assigned to the default CPU EP" in text:
            # Not a `ModelError`: the model may be fine, and ``auto`` takes the CPU then.
            return ToolMissingError(
                f"--device cuda: {self.provider} does not start, or cannot run all of {path}",
                cure=f"{_LIBRARIES[self.provider]}; or --device cpu",
            )
        return ModelError(f"{path}: is not a usable ONNX model for {self.provider}: {text}")

    def _check_placement(self) -> None:
        """What was asked for comes first, and every node is on the GPU."""
        first = self._session.get_providers()[0]
        if first != self.provider:
            raise ToolMissingError(
                f"--device cuda: ONNX Runtime took {first} instead of {self.provider}, whose libraries it could not load",
                cure=_LIBRARIES[self.provider],
            )
        if hasattr(self._session, "get_provider_graph_assignment_info"):
            on_cpu = [
                node.op_type
                for part in self._session.get_provider_graph_assignment_info()
                if part.ep_name == "CPUExecutionProvider"
                for node in part.get_nodes()
            ]
            if on_cpu:
                names = ", ".join(sorted(set(on_cpu)))
                raise ToolMissingError(f"--device cuda: {names} of {self._contract.path} would run on the CPU", cure="--device cpu")

    def bind(self, model_input: Any) -> Any:
        """A binding of ``model_input`` (float32 cupy array of ``shape``) to `maps`; the caller keeps that array alive."""
        if model_input.shape != self.shape or model_input.dtype != np.float32 or not model_input.flags.c_contiguous:
            raise ValueError(f"an input of {model_input.dtype} {model_input.shape} for a session of {self.shape}")
        binding = self._session.io_binding()
        answer = (self.shape[0], 1, *self.shape[2:])
        binding.bind_input(self._contract.input_name, "cuda", self.gpu, np.float32, self.shape, model_input.data.ptr)
        binding.bind_output(self._contract.output_name, "cuda", self.gpu, np.float32, answer, self.maps.data.ptr)
        return binding

    def run(self, binding: Any) -> Any:
        """Enqueue one inference on `cuda_stream`; the maps ``[N, H, W]`` hold its answer once the stream is there."""
        try:
            with device_errors():
                self._session.run_with_iobinding(binding, self._run_options)
        except (DeviceMemoryError, ToolMissingError):
            raise
        except Exception as error:
            raise ModelError(f"{self._contract.path}: failed on input {list(self.shape)}: {first_line(error)}") from error
        return self.maps

    def check(self) -> None:
        """One inference of a grey picture, read back. Raises `ModelError`."""
        import cupy

        with cupy.cuda.Device(self.gpu), device_errors():
            with self.cuda_stream:
                grey = cupy.zeros(self.shape, np.float32)
            binding = self.bind(grey)
            answer = self.run(binding)
            with self.cuda_stream:
                low, high = float(answer.min()), float(answer.max())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # also refuses nan
            raise breach(self._contract.path, f"output values in {low:g} .. {high:g}, not in 0 .. 1")


def free_dimensions(contract: ModelContract, shape: tuple[int, int, int, int]) -> dict[str, int]:
    """The lengths of the input's named dimensions. Raises `ModelError` where one name means two lengths."""
    lengths: dict[str, int] = {}
    for name, length in zip(contract.input_dimensions, shape, strict=True):
        if name is not None and lengths.setdefault(name, length) != length:
            raise breach(contract.path, f"its dimension {name} cannot be both {lengths[name]} and {length}")
    return lengths


def session_providers(settings: GpuSettings, gpu: int, stream: int, engine: str) -> list[tuple[str, dict[str, str]]]:
    """What ONNX Runtime gets: never the CPU's provider. CUDA stands behind TensorRT for what that leaves out."""
    where = {"device_id": str(gpu), "user_compute_stream": str(stream)}
    # The exhaustive search tries every algorithm on the first batch, which takes seconds and much memory.
    cuda = where | {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0" if settings.exact else "1"}
    cuda["arena_extend_strategy"] = "kSameAsRequested"
    if settings.provider == "cuda":
        return [(PROVIDERS["cuda"], cuda)]
    cache = _ENGINE_CACHE.expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    tensorrt = where | {
        "trt_fp16_enable": "0" if settings.exact else "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_engine_cache_prefix": f"{engine}-{'fp32' if settings.exact else 'fp16'}",
    }
    return [(PROVIDERS["tensorrt"], tensorrt), (PROVIDERS["cuda"], cuda)]


def library_error(ort: Any, provider: str) -> str | None:
    """Why the library of ``provider`` cannot be loaded, such as that of another one which it needs. ONNX Runtime only logs it."""
    name = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}[provider]
    try:
        ctypes.CDLL(str(Path(ort.__file__).parent / "capi" / f"libonnxruntime_providers_{name}.so"))
    except OSError as error:
        return first_line(error)
    return None


def _load_libraries(ort: Any, settings: GpuSettings) -> None:
    """CUDA, cuDNN and TensorRT from pip's wheels, where they are; the loader does not look there by itself.

    ONNX Runtime looks only beside its own folder, which need not be where the CUDA wheels are.
    """
    if settings.provider == "tensorrt":
        # Its wheel loads libnvinfer when imported. Without the wheel the system's is taken, if there is one; the session will tell.
        with contextlib.suppress(ImportError):
            importlib.import_module("tensorrt")
    if hasattr(ort, "preload_dlls"):
        # It prints what it does not find, which the session that needs it will say too.
        with contextlib.redirect_stdout(None):
            for folder in library_folders():
                ort.preload_dlls(directory=folder)
            ort.preload_dlls()


def library_folders() -> list[str]:
    """Where pip's CUDA wheels keep their libraries, in every folder of ``sys.path``."""
    spec = importlib.util.find_spec("nvidia")
    roots = [] if spec is None else spec.submodule_search_locations or []
    return [str(folder) for root in roots for folder in sorted(Path(root).glob("*/lib")) if folder.is_dir()]
