"""Leads the CUDA runtime that is built into CuPy's wheel to the stand-in driver.

NVIDIA's runtime reaches the driver through tables without documentation, so each ``cuda*`` function in CuPy's extension module is
overwritten by a jump to the function ``standin_cuda*`` of the stand-in's libcuda.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from pathlib import Path
from types import ModuleType

_JUMP = 12
"""Bytes of ``mov rax, ADDRESS; jmp rax``."""
_ALL = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC


def patch_cudart(module: ModuleType) -> None:
    """Lead the runtime in ``module``, which is ``cupy_backends.cuda.api.runtime``, to the stand-in."""
    path = str(Path(str(module.__file__)).resolve())
    driver = ctypes.CDLL("libcuda.so.1", ctypes.RTLD_GLOBAL)
    maps = Path("/proc/self/maps").read_text().splitlines()
    base = next(int(line.split("-")[0], 16) for line in maps if line.endswith(path))
    libc = ctypes.CDLL(None)
    for offset, name in _functions(path):
        target = getattr(driver, f"standin_{name}", driver.standin_missing)
        address = ctypes.cast(target, ctypes.c_void_p).value
        assert address is not None
        place = base + offset
        page = place // mmap.PAGESIZE * mmap.PAGESIZE
        if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(2 * mmap.PAGESIZE), _ALL):
            sys.exit(f"stand-in driver: cannot write to the code of {path}")
        ctypes.memmove(place, b"\x48\xb8" + address.to_bytes(8, "little") + b"\xff\xe0", _JUMP)


def _functions(path: str) -> list[tuple[int, str]]:
    """Offset and name of each function ``cuda*`` of the library."""
    listing = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    words = [line.split() for line in listing.splitlines()]
    found = [(int(word[0], 16), word[2]) for word in words if len(word) == 3 and word[1] in "tT"]
    return [(offset, name) for offset, name in found if name.startswith("cuda") and name[4:5].isupper() and name.isalnum()]
