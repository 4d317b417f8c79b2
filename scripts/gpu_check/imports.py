"""Check ``imports``: imports each package and runs one inference, and prints how long each step takes.

Exit status 1 if a step fails; the other steps are tried all the same.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from gpu_check.machine import write_errors

_VERSIONS = ("numpy", "av", "msgspec", "cupy-cuda13x", "PyNvVideoCodec", "onnxruntime-gpu", "onnxruntime", "pytest", "pytest-xdist")


def main() -> None:
    output = Path(sys.argv[1])
    print(", ".join(f"{name} {_version(name)}" for name in _VERSIONS))
    errors: dict[str, str | None] = {}
    steps: dict[str, Callable[[], object]] = {
        "numpy": lambda: _module("numpy"),
        "av": lambda: _module("av"),
        "cupy": _cupy,
        "PyNvVideoCodec": lambda: _module("PyNvVideoCodec"),
        "onnxruntime": _onnxruntime,
        "CUDA provider": _provider,
        "inference": _inference,
    }
    for name, step in steps.items():
        # Written before each step too: a library may end the process.
        errors[name] = "ended the process"
        write_errors(output, errors)
        started = time.perf_counter()
        try:
            found, errors[name] = step(), None
        except Exception as error:
            traceback.print_exc(limit=4, file=sys.stdout)
            lines = str(error).strip().splitlines()
            found = errors[name] = f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
        print(f"{name}: {found} ({time.perf_counter() - started:.2f} s)", flush=True)
        write_errors(output, errors)
    failed = [f"{name}: {error}" for name, error in errors.items() if error is not None]
    print("; ".join(failed) or f"all {len(steps)} steps work")
    sys.exit(1 if failed else 0)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _module(name: str) -> str:
    module = importlib.import_module(name)
    return f"{module.__version__} from {module.__file__}"


def _cupy() -> str:
    import cupy
    import numpy as np

    sent = np.arange(1000, dtype=np.float32)
    if not np.array_equal(cupy.asnumpy(cupy.asarray(sent)), sent):
        raise ArithmeticError("an array comes back from the GPU with other values")
    return f"{cupy.__version__}, compute capability {cupy.cuda.Device().compute_capability}"


def _onnxruntime() -> str:
    from gpu_saliency.model.runtime import import_onnxruntime

    return str(import_onnxruntime().__version__)


def _provider() -> str:
    """Load the CUDA provider and the libraries that it needs."""
    from gpu_saliency.analysis.cuda.libraries import library_error, library_folders, load_libraries
    from gpu_saliency.analysis.settings import GpuSettings
    from gpu_saliency.model.runtime import import_onnxruntime

    runtime = import_onnxruntime()
    load_libraries(runtime, GpuSettings())
    error = library_error(runtime, "CUDAExecutionProvider")
    if error is not None:
        raise OSError(error)
    return f"{', '.join(runtime.get_available_providers())}; libraries of {', '.join(library_folders()) or 'the system'}"


def _inference() -> str:
    from gpu_saliency.analysis.devices import choose_device
    from gpu_saliency.analysis.settings import GpuSettings
    from gpu_saliency.model.shipped import DEFAULT_MODEL

    # Loading a model runs it once.
    _, model, reason = choose_device("cuda", DEFAULT_MODEL, GpuSettings())
    return f"{model.describe()['name']}, {reason}"


if __name__ == "__main__":
    main()
