"""A libcuda.so.1 that is dead in a given way, for processes that are started with its folder on ``LD_LIBRARY_PATH``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from program import Run

DEAD = "int cuInit(unsigned flags) { return 999; }"
KILLS = "#include <stdlib.h>\nint cuInit(unsigned flags) { abort(); }"
_STARTS = "int cuInit(unsigned flags) { return 0; }\nint cuDriverGetVersion(int* v) { *v = 13000; return 0; }\n"
NO_GPU = _STARTS + "int cuDeviceGetCount(int* n) { *n = 0; return 0; }"
ONE_GPU = (
    _STARTS
    + """
#include <string.h>
int cuDeviceGetCount(int* n) { *n = 1; return 0; }
int cuDeviceGet(int* d, int i) { *d = i; return 0; }
int cuDeviceGetName(char* name, int size, int d) { strcpy(name, "Stub"); return 0; }
int cuDeviceTotalMem_v2(size_t* bytes, int d) { *bytes = 1 << 30; return 0; }
int cuDeviceGetAttribute(int* value, int attribute, int d) { *value = attribute == 75 ? 9 : 0; return 0; }
"""
)
"""Claims a GPU and can do nothing with it."""


def build_driver(folder: Path, text: str) -> Path:
    """Compile ``text`` as the driver into ``folder``."""
    folder.mkdir()
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / "libcuda.so.1")]
    subprocess.run(command, input=text, text=True, check=True)
    return folder


def run_with(driver: Path | None, *arguments: object, python_path: Path | None = None) -> Run:
    """``gpu-saliency ARGUMENTS`` in a process that finds ``driver`` before any other."""
    return start(driver, "-m", "gpu_saliency", *arguments, python_path=python_path)


def start(driver: Path | None, *arguments: object, python_path: Path | None = None) -> Run:
    """Python with ``arguments``, likewise."""
    environment = dict(os.environ)
    if driver is not None:
        environment["LD_LIBRARY_PATH"] = str(driver)
    paths = [str(path) for path in (python_path, Path(__file__).parents[2]) if path is not None]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    return Run(done.returncode, done.stdout, done.stderr)
