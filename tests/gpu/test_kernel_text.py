"""The text of the kernels is found in a checkout and in a wheel, compiles for every supported GPU, and is loaded lazily."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import nvrtc
import pytest
from requirements import MISSING, need, required

from gpu_saliency.analysis.cuda.kernels.text import COMPILE_OPTIONS, KERNEL_FILES, kernel_arguments, kernel_folder, module_source

ROOT = Path(__file__).parents[2]
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
"""Turing, Ampere (data centre, consumer), Ada, Hopper, Blackwell (data centre, consumer)."""
CUPY_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")
"""The options that CuPy 14 adds to those of a RawModule (cupy/cuda/compiler.py)."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile(architecture: int) -> None:
    need("nvrtc")
    binary, log = nvrtc.compile_cubin(module_source(), (*COMPILE_OPTIONS, *CUPY_OPTIONS, f"-arch=sm_{architecture}"))
    assert not log, "the compiler warns"
    for name in kernel_arguments():
        assert f".text.{name}\0".encode() in binary


def test_compiler_errors_name_file_and_line() -> None:
    """Although the compiler gets one text joined from many files."""
    need("nvrtc")
    text = module_source().replace("// Mean change of luma from sample to sample.", "mistake;")
    with pytest.raises(ValueError, match=r"motion\.cu\(1\): error"):
        nvrtc.compile_cubin(text, (*COMPILE_OPTIONS, *CUPY_OPTIONS, "-arch=sm_90"))


def test_all_files_are_in_the_text() -> None:
    files = {path.name for path in kernel_folder().iterdir()} - {"README.md"}
    assert files == {*KERNEL_FILES, "portable.cuh"}
    text = module_source()
    for name in files:
        assert text.count(f'#line 1 "{name}"\n') == 1
    assert "#include" not in text.replace('#include "launch_shim.h"', "")
    assert text.count("__global__ void") == len(kernel_arguments())


def test_arguments_are_read_from_the_declarations() -> None:
    assert kernel_arguments()["luma_motion"] == ("pointer", "pointer", "int32", "pointer")
    assert kernel_arguments()["scene_change"][:5] == ("pointer", "int64", "int32", "int32", "float32")


def test_importing_the_kernels_imports_no_gpu_library() -> None:
    cuda = "gpu_saliency.analysis.cuda"
    code = f"import sys, {cuda}.kernels.checked, {cuda}.decode.colour; sys.exit('cupy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_wheel_contains_the_kernels(tmp_path: Path) -> None:
    """A wheel is built and unpacked elsewhere; imported from there, the package has the same text."""
    pytest.importorskip("hatchling", reason="no hatchling to build a wheel with")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = "from gpu_saliency.analysis.cuda.kernels import text as t; print(t.kernel_folder()); print(hash(t.module_source()))"
    environment = {"PYTHONPATH": str(installed), "PYTHONHASHSEED": "0"}
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout.split()
    here = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True
    ).stdout.split()
    assert Path(answer[0]) == installed / "gpu_saliency" / "kernels"
    assert answer[1] == here[1]


def test_a_required_tool_may_not_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPU_SALIENCY_REQUIRE, which CI and scripts/gpu-check set: a missing tool fails the test that needs it."""
    monkeypatch.setitem(MISSING, "cuda", lambda: "none today")
    monkeypatch.setenv("GPU_SALIENCY_REQUIRE", "g++, nvrtc")
    with pytest.raises(pytest.skip.Exception, match="none today"):
        need("cuda")
    monkeypatch.setenv("GPU_SALIENCY_REQUIRE", "cuda")
    with pytest.raises(pytest.fail.Exception, match="none today"):
        need("cuda")
    monkeypatch.setenv("GPU_SALIENCY_REQUIRE", "cdua")
    with pytest.raises(ValueError, match="cdua"):
        required()
