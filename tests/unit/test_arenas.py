"""The program limits the heaps of the C library, which it would otherwise have up to 8 of for each core."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gpu_saliency.process.arenas import ARENAS

pytestmark = pytest.mark.skipif(
    not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"), reason="another C library has other heaps"
)
_COUNT = r"""
import ctypes, os, tempfile, threading
from pathlib import Path

def heaps():
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "info.xml")
        stream = ctypes.c_void_p(library.fopen(os.fsencode(path), b"w"))
        library.malloc_info(0, stream)
        library.fclose(stream)
        return path.read_text().count("<heap nr=")

def count_with_threads():
    # All allocate before one of them ends.
    together = threading.Barrier(7)

    def allocate():
        kept = bytearray(10_000)
        together.wait(60)

    threads = [threading.Thread(target=allocate) for _ in range(6)]
    for thread in threads:
        thread.start()
    together.wait(60)
    for thread in threads:
        thread.join()
    return heaps()
"""
_LIMITED = "from gpu_saliency.process.arenas import limit_arenas\nlimit_arenas()\n"
_PROGRAM = """
import runpy, sys
sys.argv = ["gpu-saliency", "--version"]
try:
    runpy.run_module("gpu_saliency", run_name="__main__")
except SystemExit:
    pass
"""
_WORKER = """
from gpu_saliency.batch.local import serve
serve.serve = lambda *_: 0
import sys
sys.argv = ["batch_worker", "60"]
from gpu_saliency.cli.batch_worker import main
try:
    main()
except SystemExit:
    pass
"""


def _heaps(before: str, **environment: str) -> int:
    """The heaps of a process that runs ``before`` and then has six threads that allocate."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")}
    code = before + _COUNT + "print(count_with_threads())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, timeout=120, check=True
    )
    return int(done.stdout.split()[-1])


def test_threads_share_the_heaps() -> None:
    assert _heaps("") > ARENAS  # the test sees what the limit changes
    assert _heaps(_LIMITED) == ARENAS


@pytest.mark.parametrize("start", [_PROGRAM, _WORKER], ids=["program", "worker of a batch"])
def test_what_runs_for_long_has_the_limit(start: str) -> None:
    assert _heaps(start) == ARENAS


@pytest.mark.parametrize(
    "environment", [{"MALLOC_ARENA_MAX": "4"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}], ids=["variable", "tunable"]
)
def test_a_limit_of_the_user_is_kept(environment: dict[str, str]) -> None:
    assert _heaps(_LIMITED, **environment) == 4
