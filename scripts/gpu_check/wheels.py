"""The wheels that go into the packs, without what the checks do not need."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from gpu_check.device_code import keep_architecture
from gpu_check.elf import zero_unloaded

_CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
# The versions whose reduced form ran on a GPU (docs/gpu-results.md); constraints.txt has those of the others.
GROUPS = {
    "python": ("av", "PyNvVideoCodec==2.2.4", "msgspec", "platformdirs", "imageio-ffmpeg"),
    "onnxruntime": ("onnxruntime-gpu==1.31.1",),
}
"""The archives and their wheels, the most important first: without ONNX Runtime kernels and NVDEC can still be checked."""
_PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 27, 28, 31, 34, 35)))
_LEFT_OUT = re.compile(
    r"^onnxruntime/(quantization|transformers|tools|datasets)/"
    r"|^onnxruntime/capi/libonnxruntime(\.so|_providers_tensorrt)"
    # Samples, an ffmpeg of its own, and the module for CUDA 12.
    r"|^PyNvVideoCodec.*(external/ffmpeg|samples/|benchmarks/|_121\.)"
    r"|^pynvvideocodec-[^/]*\.data/"
    r"|^imageio_ffmpeg/binaries/ffmpeg"
    r"|\.(pyi|pxd|pyx|c|h)$",
    re.IGNORECASE,
)
_PROVIDER = "libonnxruntime_providers_cuda.so"


def download(folder: Path, wheels: Sequence[str], python: str) -> list[Path]:
    """Download ``wheels`` for that version of Python on x86-64 Linux. Raises `SystemExit` where pip fails."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", python, "--constraint", str(_CONSTRAINTS)]
    command += [word for platform in _PLATFORMS for word in ("--platform", platform)]
    if subprocess.run([*command, *wheels], check=False).returncode:
        raise SystemExit(f"pip cannot download {', '.join(wheels)} (its message is above)")
    return sorted(folder.glob("*.whl"))


def unpack_wheels(wheels: Sequence[Path], site: Path, architecture: int) -> None:
    """Unpack ``wheels`` into ``site`` without what the checks do not need; the CUDA provider keeps one GPU architecture."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site, [name for name in archive.namelist() if not _LEFT_OUT.search(name)])
    for path in sorted(path for path in site.rglob("*") if path.is_file() and ".so" in path.suffixes):
        zero_unloaded(path)
        if path.name == _PROVIDER:
            kept = keep_architecture(path, architecture)
            print(f"{path.name}: kept {kept / 1e6:.1f} MB of code for sm_{architecture}", file=sys.stderr)
