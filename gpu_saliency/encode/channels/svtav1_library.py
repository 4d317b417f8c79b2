"""Finds the shared library of SVT-AV1 that comes with PyAV, and the command that encodes by it in a process of its own."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import av

from gpu_saliency.encode.channels import svtav1_child

_FOLDERS = ("../av.libs", ".dylibs")
"""Where wheels of PyAV keep their libraries, relative to the package: for Linux and for macOS."""


def library_command() -> list[str] | None:
    """The start of the command of an encoder that takes the arguments of SvtAv1EncApp; ``None`` if there is no usable library."""
    library = find_library()
    if library is None or not sys.executable:
        return None
    # -I and -S: the program needs no other module of this package, and so starts at once.
    return [sys.executable, "-I", "-S", str(Path(svtav1_child.__file__)), "--library", library]


@lru_cache(maxsize=1)
def find_library() -> str | None:
    """Find the library that PyAV's wheel brought, of a version whose interface is known; ``None`` if there is none."""
    package = Path(av.__file__).parent
    for path in sorted(path for folder in _FOLDERS for path in (package / folder).resolve().glob("libSvtAv1Enc*")):
        try:
            svtav1_child.load(str(path))  # it is in this process already, as libavcodec needs it
        except svtav1_child.Failure:
            continue
        return str(path)
    return None
