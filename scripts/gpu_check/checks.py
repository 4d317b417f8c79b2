"""All checks in order of their worth: the time limit may cut off the last."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpu_check.outcomes import file_name

ROOT = Path(__file__).resolve().parents[2]
KERNEL_SAMPLE = "test_the_same_as_by_gxx or nv12"
"""The kernel tests that the sanitizer runs; it makes a test many times slower."""
CLOSED = 3
"""The number of clips of 1080p with closed GOPs: H.264, HEVC and HEVC of 10 bits."""
_EVERY_FRAME = ("--repeat", "16", "--batch", "1,32", "--every", "1", "--input-size", "256x144,512x288")
_REQUIRE = {"GPU_SALIENCY_REQUIRE": "cuda,g++"}


@dataclass(frozen=True, slots=True)
class Check:
    """One command that ``run`` executes."""

    name: str
    command: Sequence[str]
    seconds: float
    """Time limit."""
    needs: tuple[str, ...] = ()
    """Parts of the machine (`gpu_check.machine.PARTS`) without which it is skipped."""
    is_timing: bool = False
    """Whether it measures time or memory, so that it must run alone."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to those of ``run``."""

    def with_patience(self, factor: float) -> Check:
        """The check with ``factor`` times its time limit."""
        return replace(self, seconds=factor * self.seconds)


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-P", "-m", f"gpu_check.{name}", *map(str, arguments)]


def first_checks(results: Path) -> list[Check]:
    """The checks that find out what the machine has, so that the others can be chosen."""
    return [
        Check("libraries", module("libraries", results / "libraries.json"), 30),
        Check("imports", module("imports", results / "imports.json"), 90),
        Check("facts", module("facts"), 120),
    ]


def main_checks(clips: Sequence[Path], results: Path, has_nvdec: bool) -> list[Check]:
    """All other checks, on ``clips``."""
    large, other = _division(clips)
    closed = large[:CLOSED]
    tests = ROOT / "tests" / "gpu"
    device = tests / "test_devices.py"
    kernels = [*_pytest(workers()), str(tests), f"--ignore={device}"]
    decoders = "1" if has_nvdec else "cpu"
    upload = () if has_nvdec else ("--decoders", "cpu")
    cuda, nvdec = ("provider", "clips"), ("provider", "clips", "libnvcuvid")
    return [
        Check("kernel tests", kernels, 150, ("cupy",), environment=_REQUIRE),
        *(_sanitizer(tool) for tool in ("memcheck", "racecheck")),
        Check("NVDEC decode", module("nvdec", *clips), 90, ("cupy", "PyNvVideoCodec", "clips")),
        _parity("parity", closed, results, "1", nvdec),
        # Open GOPs matter where ranges begin.
        _parity("parity, 3 decoders", large, results, "3", nvdec),
        _parity("parity, upload", closed, results, "cpu", cuda),
        _parity("parity, other formats", other, results, decoders, cuda),
        Check("device tests", [*_pytest(0), str(device)], 150, ("provider",), environment=_REQUIRE),
        *(_memory(number, closed) for number in (("1", "4") if has_nvdec else ("cpu",))),
        _bench("bench", closed, results, cuda, 120, "--repeat", "16", "--batch", "8,32", *upload),
        _bench("bench, all engines", closed, results, nvdec, 120, "--repeat", "40", "--batch", "32", "--decoders", "auto"),
        _bench("bench, every frame", closed[:1], results, cuda, 90, *_EVERY_FRAME, *upload),
    ]


def _memory(decoders: str, clips: Sequence[Path]) -> Check:
    name = {"1": "memory, 1 decoder", "cpu": "memory, upload"}.get(decoders, f"memory, {decoders} decoders")
    command = module("memory", *clips[1:2], "--decoders", decoders)
    return Check(name, command, 60, ("provider", "clips"), is_timing=True)


def _division(clips: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The clips of 1080p, closed GOPs first, and the others."""
    large = [path for path in clips if "1080p" in path.name]
    return sorted(large, key=lambda path: ("open" in path.name, path.name)), [path for path in clips if path not in large]


def workers() -> int:
    """Processes for the kernel tests; 0 without pytest-xdist."""
    return max(1, (os.cpu_count() or 1) // 3) if importlib.util.find_spec("xdist") else 0


def _pytest(processes: int) -> list[str]:
    # Warnings do not fail a test here: this machine's libraries may have other versions than those that CI uses.
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-W", "default", "-p", "no:cacheprovider", "-m", "needs_cuda"]
    return [*command, "-n", str(processes)] if processes > 1 else command


def _sanitizer(tool: str) -> Check:
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    command = [program, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all", *_pytest(0)]
    kernels = [str(ROOT / "tests" / "gpu" / "test_kernels_cuda.py"), "-k", KERNEL_SAMPLE]
    return Check(f"sanitizer, {tool}", [*command, *kernels], 120, ("cupy", "compute-sanitizer"), environment=_REQUIRE)


def _parity(name: str, clips: Sequence[Path], results: Path, decoders: str, needs: tuple[str, ...]) -> Check:
    output = results / f"{file_name(name)}.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_parity.py"), *map(str, clips), "--seconds", "2"]
    return Check(name, [*command, "--decoders", decoders, "--json", str(output)], 120, needs)


def _bench(name: str, clips: Sequence[Path], results: Path, needs: tuple[str, ...], seconds: float, *options: str) -> Check:
    command = [sys.executable, "-P", "-m", "gpu_saliency", "bench", *map(str, clips), "--device", "cuda", "--rounds", "3"]
    output = results / f"{file_name(name)}.json"
    return Check(name, [*command, "--overwrite", "--output", str(output), *options], seconds, needs, is_timing=True)
