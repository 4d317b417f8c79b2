"""Puts ONNX Runtime's CPU provider in the place of the CUDA provider: bound device memory is host memory under the stand-in."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def patch_onnxruntime(module: ModuleType) -> None:
    ort: Any = module
    driver = ctypes.CDLL("libcuda.so.1")
    waiting: dict[int, Callable[[], None]] = {}
    numbers = itertools.count()

    def infer(number: int) -> None:
        try:
            waiting.pop(number)()
        except Exception:  # nobody could catch it here
            traceback.print_exc()
            os.abort()

    call = ctypes.CFUNCTYPE(None, ctypes.c_long)(infer)

    class Options(ort.SessionOptions):  # type: ignore[misc]
        def add_session_config_entry(self, key: str, value: str) -> None:
            if key not in ("session.disable_cpu_ep_fallback", "session.record_ep_graph_assignment_info"):
                super().add_session_config_entry(key, value)

    class Binding:
        def __init__(self, binding: Any) -> None:
            self.binding = binding

        def bind_input(self, name: str, device: str, _number: int, *more: Any) -> None:
            assert device == "cuda", device
            self.binding.bind_input(name, "cpu", 0, *more)

        def bind_output(self, name: str, device: str, _number: int, *more: Any) -> None:
            assert device == "cuda", device
            self.binding.bind_output(name, "cpu", 0, *more)

    class Session(ort.InferenceSession):  # type: ignore[misc]
        def __init__(self, path: Any, options: Any = None, providers: Any = None, **more: Any) -> None:
            given = [one if isinstance(one, tuple) else (one, {}) for one in providers]
            assert all(name in (CUDA, CPU) for name, _ in given), given
            self._on_cuda = given[0][0] == CUDA
            self._stream = int(given[0][1].get("user_compute_stream", 0))
            super().__init__(path, options, providers=[CPU], **more)

        def get_providers(self) -> list[str]:
            return [CUDA] if self._on_cuda else [CPU]

        def get_provider_graph_assignment_info(self) -> list[Any]:
            return []

        def io_binding(self) -> Any:
            return Binding(super().io_binding()) if self._on_cuda else super().io_binding()

        def run_with_iobinding(self, binding: Any, options: Any = None) -> None:
            if not self._on_cuda:
                super().run_with_iobinding(binding, options)
                return
            # As the CUDA provider does, the inference is queued on its stream.
            number = next(numbers)
            waiting[number] = functools.partial(super().run_with_iobinding, binding.binding)
            driver.standin_queue(ctypes.c_void_p(self._stream), call, ctypes.c_long(number))

    ort.SessionOptions, ort.InferenceSession = Options, Session
    ort.get_available_providers = lambda: [CUDA, CPU]
