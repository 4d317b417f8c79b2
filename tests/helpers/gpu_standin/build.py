"""Compiles the stand-in driver and the kernels:  python build.py FOLDER, where FOLDER has ``packages`` and ``ffnvcodec``.

``scripts/test-standin`` runs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kernel_backends import build_shim

DRIVER = Path(__file__).parent / "driver"
_CXX = ("g++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")
# ONNX Runtime for CPUs under the name of the wheel for GPUs.
_WHEEL = "onnxruntime_gpu-1.31.1.dist-info"


def build(folder: Path) -> None:
    """Write the libraries to ``folder/lib`` and the metadata of an ``onnxruntime-gpu`` to ``folder/site``."""
    headers = [f"-I{folder}", f"-I{folder}/packages/nvidia/cu13/include"]
    lib = folder / "lib"
    lib.mkdir(exist_ok=True)

    def compile_library(name: str, *sources: str, more: tuple[str, ...] = ()) -> None:
        paths = [str(DRIVER / source) for source in sources]
        subprocess.run([*_CXX, *headers, f"-Wl,-soname,{name}", *paths, "-o", str(lib / name), *more], check=True)

    compile_library("libcuda.so.1", "schedule.cpp", "driver.cpp", "runtime.cpp")
    compile_library("libnvcuvid.so.1", "nvcuvid.cpp", more=(f"-L{lib}", "-l:libcuda.so.1"))
    compile_library("libnvidia-encode.so.1", "nvencode.cpp")
    build_shim(lib, "-DONE_THREAD")
    wheel = folder / "site" / _WHEEL
    wheel.mkdir(parents=True, exist_ok=True)
    (wheel / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n")


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
