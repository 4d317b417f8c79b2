"""An ONNX Runtime session that runs completely on one GPU, on a CUDA stream and with buffers of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.libraries import LIBRARY_CURES, library_error
from gpu_saliency.analysis.cuda.memory import cuda_error, device_errors, on_gpu
from gpu_saliency.analysis.device import DeviceMemoryError
from gpu_saliency.analysis.settings import PROVIDERS, GpuSettings
from gpu_saliency.errors import ModelError, ToolMissingError, setting
from gpu_saliency.model.contract import TOLERANCE, InputSize, ModelContract, breach, first_line
from gpu_saliency.model.maps import Maps

_ENGINE_CACHE = Path("~/.cache/gpu_saliency/tensorrt")


class CudaSession:
    """A session for one GPU and one input shape. Its inferences run in order on its own stream, `cuda_stream`."""

    def __init__(
        self,
        path: Path,
        contract: ModelContract,
        ort: Any,
        settings: GpuSettings,
        gpu: int,
        batch_size: int,
        size: InputSize,
        sha256: str,
    ) -> None:
        import cupy

        self._contract, self._ort, self.gpu, self.provider = contract, ort, gpu, PROVIDERS[settings.provider]
        self.shape = (batch_size, 3, size.padded[1], size.padded[0])
        with on_gpu(gpu):
            self.cuda_stream = cupy.cuda.Stream(non_blocking=True)
            # The outputs of every inference, at fixed addresses: float32 [N, H, W] each.
            self.maps = Maps(*(cupy.empty((batch_size, *size.padded[::-1]), np.float32) for _ in contract.output_names))
        options = ort.SessionOptions()
        options.log_severity_level = 4
        # A node that cannot run on the GPU must be an error; by default ONNX Runtime silently runs it on the CPU.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        for name, length in free_dimensions(self._contract, self.shape).items():
            options.add_free_dimension_override_by_name(name, length)
        providers = session_providers(settings, gpu, self.cuda_stream.ptr, f"{sha256[:16]}-{batch_size}")
        try:
            with device_errors():
                # enable_fallback=0: the Python wrapper would try again with other providers.
                self._session = ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
        except (DeviceMemoryError, ToolMissingError):
            raise
        except Exception as error:
            raise self._refused(error) from error
        self._check_placement()
        # By default the host waits for the stream at the end of a run; here consumers of the maps enqueue their work on the stream.
        self._run_options = ort.RunOptions()
        self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def _refused(self, error: Exception) -> ToolMissingError | ModelError:
        missing = library_error(self._ort, self.provider)
        if missing is not None:
            return cuda_error(f"{self.provider} cannot be loaded: {missing}", LIBRARY_CURES[self.provider])
        path, text = self._contract.path, first_line(error)
        if "assigned to the default CPU EP" in text:
            # Not a `ModelError`: the model may be valid, and then ``auto`` falls back to the CPU.
            return cuda_error(
                f"{self.provider} does not start, or cannot run all of {path}",
                f"{LIBRARY_CURES[self.provider]}, or give {setting('device', 'cpu')}",
            )
        return ModelError(
            f"{path}: is not a usable ONNX model for {self.provider}: {text}", cure=f"give another {setting('model')}"
        )

    def _check_placement(self) -> None:
        """Check that the session uses the requested provider and runs every node on the GPU. Raises `ToolMissingError`."""
        first = self._session.get_providers()[0]
        if first != self.provider:
            raise cuda_error(
                f"ONNX Runtime uses {first} instead of {self.provider}, because it could not load the libraries of the latter",
                LIBRARY_CURES[self.provider],
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
                raise cuda_error(f"{names} of {self._contract.path} would run on the CPU", f"give {setting('device', 'cpu')}")

    def bind(self, model_input: Any) -> Any:
        """Bind ``model_input``, a float32 CuPy array of `shape` that the caller keeps alive, and `maps` for `run`.

        Raises `ValueError` for another array.
        """
        if model_input.shape != self.shape or model_input.dtype != np.float32 or not model_input.flags.c_contiguous:
            raise ValueError(f"an input of {model_input.dtype} {model_input.shape} for a session of {self.shape}")
        binding = self._session.io_binding()
        answer = (self.shape[0], 1, *self.shape[2:])
        binding.bind_input(self._contract.input_name, "cuda", self.gpu, np.float32, self.shape, model_input.data.ptr)
        outputs: list[Any] = [one for one in (self.maps.saliency, self.maps.gaze) if one is not None]
        for name, maps in zip(self._contract.output_names, outputs, strict=True):
            binding.bind_output(name, "cuda", self.gpu, np.float32, answer, maps.data.ptr)
        return binding

    def run(self, binding: Any) -> Maps:
        """Enqueue one inference on `cuda_stream`. Returns `maps`, valid for later work on that stream."""
        try:
            with device_errors():
                self._session.run_with_iobinding(binding, self._run_options)
        except (DeviceMemoryError, ToolMissingError):
            raise
        except Exception as error:
            raise ModelError(
                f"{self._contract.path}: failed on input {list(self.shape)}: {first_line(error)}",
                cure=f"give another {setting('model')}",
            ) from error
        return self.maps

    def check(self) -> None:
        """Run one inference on a grey picture and check that the map is in 0..1. Raises `ModelError`."""
        import cupy

        with on_gpu(self.gpu):
            with self.cuda_stream:
                grey = cupy.zeros(self.shape, np.float32)
            binding = self.bind(grey)
            answer = self.run(binding)
            with self.cuda_stream:
                found = [(float(one.min()), float(one.max())) for one in (answer.saliency, answer.gaze) if one is not None]
        for name, (low, high) in zip(self._contract.output_names, found, strict=True):
            if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # also refuses nan
                raise breach(self._contract.path, f"values of {name} in {low:g} .. {high:g}, not in 0 .. 1")


def free_dimensions(contract: ModelContract, shape: tuple[int, int, int, int]) -> dict[str, int]:
    """The lengths of the input's named dimensions for ``shape``. Raises `ModelError` if one name needs two lengths."""
    lengths: dict[str, int] = {}
    for name, length in zip(contract.input_dimensions, shape, strict=True):
        if name is not None and lengths.setdefault(name, length) != length:
            raise breach(contract.path, f"its dimension {name} cannot be both {lengths[name]} and {length}")
    return lengths


def session_providers(settings: GpuSettings, gpu: int, stream: int, engine: str) -> list[tuple[str, dict[str, str]]]:
    """ONNX Runtime's providers and their options, without the CPU's; CUDA runs the nodes that TensorRT does not support."""
    where = {"device_id": str(gpu), "user_compute_stream": str(stream)}
    # The default, an exhaustive search, tries every algorithm on the first batch, which takes seconds and much memory.
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
