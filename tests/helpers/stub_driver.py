"""Stub drivers: a libcuda.so.1 that fails in a given way, found through ``LD_LIBRARY_PATH`` by the processes started here."""

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
"""Reports a GPU, but has no function to use it."""


def build_driver(folder: Path, text: str) -> Path:
    """Compile ``text`` to a driver in ``folder``."""
    folder.mkdir()
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / "libcuda.so.1")]
    subprocess.run(command, input=text, text=True, check=True)
    return folder


def run_with(driver: Path | None, *arguments: object, python_path: Path | None = None) -> Run:
    """Run ``gpu-saliency ARGUMENTS`` in a process that loads ``driver`` before any other."""
    return start(driver, "-m", "gpu_saliency", *arguments, python_path=python_path)


def start(driver: Path | None, *arguments: object, python_path: Path | None = None) -> Run:
    """Run Python with ``arguments`` in a process that loads ``driver`` before any other."""
    environment = dict(os.environ)
    if driver is not None:
        environment["LD_LIBRARY_PATH"] = str(driver)
    paths = [str(path) for path in (python_path, Path(__file__).parents[2]) if path is not None]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    return Run(done.returncode, done.stdout, done.stderr)
