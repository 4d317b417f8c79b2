"""Reads the source of the CUDA kernels, joins it to one module, and parses the argument types of each kernel."""

from __future__ import annotations

import functools
import importlib.resources
import re
from pathlib import Path

from gpu_saliency.errors import ToolMissingError

KERNEL_FILES = ("picture.cu", "scene.cu", "blocks.cu", "motion.cu", "reduce.cu")
# Without contraction (fused multiply-add) the kernels round as g++ and numpy do. It takes no more time: memory is the bottleneck.
COMPILE_OPTIONS = ("--std=c++17", "--fmad=false")

_INCLUDE = re.compile(r'^#include "(?P<name>[^"]+)".*$', re.MULTILINE)
_KERNEL = re.compile(r'extern "C" __global__ void (?P<name>\w+)\((?P<parameters>[^)]*)\)')
_COMMENT = re.compile(r"//.*$", re.MULTILINE)
_SCALARS = {"int": "int32", "long long": "int64", "float": "float32", "double": "float64"}


def kernel_folder() -> Path:
    """The folder of the ``.cu`` files: inside an installed package, or beside it in a checkout. Raises `ToolMissingError`."""
    package = Path(str(importlib.resources.files("gpu_saliency"))).resolve()
    folders = (package / "kernels", package.parent / "kernels")
    for folder in folders:
        if all((folder / name).is_file() for name in KERNEL_FILES):
            return folder
    raise ToolMissingError(f"the CUDA kernels are neither in {folders[0]} nor in {folders[1]}", cure="reinstall gpu-saliency")


@functools.cache
def module_source() -> str:
    """Join all kernels to one source text; the contents of this package's headers replace their ``#include`` lines.

    The compiler could include the headers, but the key of CuPy's disk cache is the text alone, so a changed header would go
    unnoticed. ``#line`` makes the compiler's messages name the original files.
    """
    folder = kernel_folder()
    seen: set[str] = set()

    def expand(name: str) -> str:
        seen.add(name)
        text = (folder / name).read_text(encoding="utf-8")
        parts, end = [f'#line 1 "{name}"\n'], 0
        for match in _INCLUDE.finditer(text):
            header = match["name"]
            if not (folder / header).is_file():
                continue  # the tests' launch shim, which only g++ includes
            parts.append(text[end : match.start()])
            parts.append("" if header in seen else expand(header))
            end = match.end() + 1
            parts.append(f'#line {text.count(chr(10), 0, end) + 1} "{name}"\n')
        return "".join(parts).replace("#pragma once\n", "\n") + text[end:]

    return "".join(expand(name) for name in KERNEL_FILES)


@functools.cache
def kernel_arguments() -> dict[str, tuple[str, ...]]:
    """The declared argument types of each kernel: ``pointer``, or the numpy name of a scalar."""
    kernels = {}
    for match in _KERNEL.finditer(_COMMENT.sub("", module_source())):
        declared = [" ".join(parameter.split()) for parameter in match["parameters"].split(",")]
        kernels[match["name"]] = tuple(
            "pointer" if "*" in parameter else _SCALARS[parameter.rpartition(" ")[0]] for parameter in declared
        )
    return kernels
