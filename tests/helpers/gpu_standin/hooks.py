"""Patches modules right after their import, so that no code of the package has to know about the stand-in driver."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from gpu_standin.any_clip import patch_index
from gpu_standin.cudart import patch_cudart
from gpu_standin.providers import patch_onnxruntime


def _patch_libraries(module: ModuleType) -> None:
    """The library of the CUDA provider is not there, and not needed: `providers.py` puts another in its place."""
    libraries: Any = module
    libraries.library_error = lambda _runtime, _provider: None


_PATCHES: dict[str, Callable[[ModuleType], None]] = {
    "cupy_backends.cuda.api.runtime": patch_cudart,
    "onnxruntime": patch_onnxruntime,
    "gpu_saliency.analysis.cuda.libraries": _patch_libraries,
    "gpu_saliency.analysis.cuda.decode.index": patch_index,
}


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, patch: Callable[[ModuleType], None]) -> None:
        self._loader, self._patch = loader, patch

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patch(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _PATCHES:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target)) is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, _PATCHES[name])
        return spec


def install() -> None:
    """Patch the modules of the table when they are imported."""
    sys.meta_path.insert(0, _Finder())
