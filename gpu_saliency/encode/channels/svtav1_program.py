"""Finds a usable SvtAv1EncApp, the program of SVT-AV1."""

from __future__ import annotations

import os
import re
import shutil
from functools import lru_cache

from gpu_saliency.encode.ffmpeg import ask_program
from gpu_saliency.errors import ToolMissingError

PROGRAM = "SvtAv1EncApp"
PROGRAM_VARIABLE = "GPU_SALIENCY_SVTAV1ENCAPP"
"""Name of the environment variable that holds the program's path, if it is not on PATH."""
LEAST_VERSION = (1, 6)
"""The first version that reads an ROI map file."""
_CURE = f"install SVT-AV1 1.6 or later, or set {PROGRAM_VARIABLE} to its {PROGRAM}"


def is_program_chosen() -> bool:
    """Whether the user named the program by `PROGRAM_VARIABLE`."""
    return bool(os.environ.get(PROGRAM_VARIABLE))


def find_program() -> str:
    """Find the path of a usable SvtAv1EncApp. Raises `ToolMissingError` if it is not installed or too old."""
    wanted = os.environ.get(PROGRAM_VARIABLE)
    path = shutil.which(wanted or PROGRAM)
    if path is None:
        where = f"{PROGRAM_VARIABLE}={wanted}: no such program" if wanted else f"{PROGRAM}: not found on PATH"
        raise ToolMissingError(where, cure=_CURE)
    version = program_version(path)
    if version < LEAST_VERSION:
        raise ToolMissingError(f"{path}: version {'.'.join(map(str, version))} cannot read ROI maps", cure=_CURE)
    return path


@lru_cache(maxsize=8)
def program_version(path: str) -> tuple[int, ...]:
    """Run ``path`` to read its version. Raises `ToolMissingError` if its output is not that of SvtAv1EncApp."""
    match = re.search(r"SVT-AV1\D*?v?(\d+)\.(\d+)(?:\.(\d+))?", ask_program(path, "--version"))
    if not match:
        raise ToolMissingError(f"{path}: is not {PROGRAM}", cure=_CURE)
    return tuple(int(number) for number in match.groups() if number is not None)
