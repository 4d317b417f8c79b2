"""Runs every check that needs a GPU: one command, at most ten minutes, no network.

    scripts/gpu-check prepare DIR [--python 3.12]      on a machine with a network and ffmpeg: write wheels and clips to DIR
    scripts/gpu-check run DIR [--minutes 10]           on the machine with the GPU: run all checks, print a table, fill DIR/results/

``prepare`` downloads the wheels that a machine with CUDA's Python packages (cupy, numpy, rich, typer, pytest) may lack, and
generates the clips. ``run`` unpacks the wheels into DIR/site without pip and continues after a failed check. Each check has a
time limit and writes a log to DIR/results. The exit status is 1 if any check failed. The checks:

facts      the GPU, its driver, the codecs that NVDEC decodes, versions
clips      lengthens the clips by repeating them
tests      the tests marked needs_cuda; a missing GPU, NVDEC or g++ fails them
parity     GPU analysis against CPU analysis, with NVDEC, with several decoders and with upload (benchmarks/gpu_parity.py)
sanitizer  compute-sanitizer on the kernel tests: memcheck and racecheck
bench      each stage and the whole analysis by codec, batch size and number of decoders (gpu-saliency bench)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHEELS = ("av>=18,<19", "imageio-ffmpeg>=0.6,<0.9", "onnxruntime-gpu>=1.24,<2", "PyNvVideoCodec>=2.2,<3")
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 27, 28, 31, 34, 35)))
CODECS = ("h264", "hevc", "hevc10")
FRAMES = 120
"""Length of each prepared clip."""
TIMES = 16
"""How often ``run`` repeats each clip: start-up cost must be small beside the rest, and many decoders need many key frames."""
SANITIZER_TESTS = "test_the_same_as_by_gxx or nv12"


@dataclass(frozen=True, slots=True)
class Check:
    """One command that ``run`` executes."""

    name: str
    command: list[str]
    seconds: int
    """Time limit."""
    environment: dict[str, str]
    """Variables added to those of ``run``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a check."""

    name: str
    passed: bool
    seconds: float
    last_line: str
    """Last line of the log, followed by the exit status if the check failed."""


def prepare(folder: Path, python: str) -> None:
    """Download the wheels and generate the clips into ``folder``. Raises `SystemExit` when a download fails."""
    sys.path.insert(0, str(ROOT))  # works from a checkout without an install
    from gpu_saliency.bench.generate import generate_clip

    wheels, clips = folder / "wheels", folder / "clips"
    wheels.mkdir(parents=True, exist_ok=True)
    clips.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(wheels)]
    command += ["--implementation", "cp", "--python-version", python]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    if subprocess.run([*command, *WHEELS], check=False).returncode:
        raise SystemExit("pip cannot download the wheels (its message is above)")
    for codec in CODECS:
        path = clips / f"{codec}-1080p.mp4"
        if not path.exists():
            print(f"generating {path}", file=sys.stderr)
            generate_clip(path, 1920, 1080, FRAMES, codec)
    for path in sorted((*wheels.iterdir(), *clips.iterdir())):
        print(f"{path}  {path.stat().st_size / 2**20:.1f} MiB")


def unpack(folder: Path) -> Path:
    """Unpack the wheels of ``folder`` and return the folder to put on PYTHONPATH."""
    site = folder / "site"
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        stamp = site / f".{wheel.name}"
        if not stamp.exists():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
                # extractall drops the file modes, which mark a wheel's programs as executable.
                for info in archive.infolist():
                    if info.external_attr >> 16 & 0o100:
                        (site / info.filename).chmod(0o755)
            stamp.touch()
    return site


def show_facts() -> None:
    """Print the machine as JSON, then its GPUs and driver in one line. Raises `ToolMissingError` without a usable GPU."""
    from gpu_saliency.analysis.cuda.probe import describe_gpu, require_cuda
    from gpu_saliency.analysis.settings import GpuSettings
    from gpu_saliency.bench import about_machine

    about = about_machine(describe_gpu())
    print(json.dumps(about, indent=1))
    require_cuda(GpuSettings())
    print(", ".join(gpu["name"] for gpu in about["gpu"]["gpus"]), "with driver", about["gpu"]["driver"])


def lengthen(folder: Path) -> None:
    """Repeat each clip of DIR/clips `TIMES` times into DIR/long."""
    from gpu_saliency.bench.generate import repeat_clip

    target = folder / "long"
    target.mkdir(exist_ok=True)
    for clip in sorted((folder / "clips").glob("*.mp4")):
        repeat_clip(clip, target / clip.name, TIMES, TIMES * FRAMES)
        print(clip.name, "repeated", TIMES, "times, up to", TIMES * FRAMES, "frames")


def checks(folder: Path, results: Path) -> list[Check]:
    """List all checks, the most important ones first: the time limit may cut off the last."""
    python = sys.executable
    clips = [str(folder / "long" / path.name) for path in sorted((folder / "clips").glob("*.mp4"))]
    required = {"GPU_SALIENCY_REQUIRE": "cuda,g++"}
    # Warnings do not fail a test here: this machine's libraries may have other versions than those that CI uses.
    tests = [python, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "-m", "needs_cuda"]
    parity = [python, str(ROOT / "benchmarks" / "gpu_parity.py"), *clips, "--seconds", "2"]
    bench = [python, "-m", "gpu_saliency", "bench", *clips, "--device", "cuda", "--rounds", "3", "--overwrite"]
    found = [
        Check("facts", [python, __file__, "facts"], 120, {}),
        Check("clips", [python, __file__, "lengthen", str(folder)], 60, {}),
        Check("tests", [*tests, str(ROOT / "tests" / "gpu")], 240, required),
        Check("parity", [*parity, "--json", str(results / "parity.json")], 90, {}),
        Check("parity, upload", [*parity, "--decoders", "cpu", "--json", str(results / "parity-upload.json")], 90, {}),
        Check("parity, 3 decoders", [*parity, "--decoders", "3", "--json", str(results / "parity-3.json")], 90, {}),
        Check("bench", [*bench, "--batch", "8,32", "--output", str(results / "bench.json")], 150, {}),
        Check("bench, every frame", [*bench, "--batch", "32", "--every", "1", "--output", str(results / "bench-1.json")], 120, {}),
        Check(
            "bench, all engines", [*bench, "--batch", "32", "--decoders", "auto", "--output", str(results / "bench-n.json")], 90, {}
        ),
    ]
    sanitizer = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    for tool in ("memcheck", "racecheck"):
        command = [sanitizer, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all", *tests]
        kernels = [str(ROOT / "tests" / "gpu" / "test_kernels_cuda.py"), "-k", SANITIZER_TESTS]
        found.append(Check(f"sanitizer, {tool}", [*command, *kernels], 120, required))
    return found


def run(folder: Path, minutes: float) -> int:
    """Execute all checks within ``minutes`` and return the exit status."""
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    site = unpack(folder)
    path = os.pathsep.join(filter(None, (str(ROOT), str(site), os.environ.get("PYTHONPATH"))))
    deadline = time.monotonic() + 60 * minutes
    outcomes = []
    for check in checks(folder, results):
        limit = min(check.seconds, deadline - time.monotonic())
        outcomes.append(_run(check, limit, results, os.environ | {"PYTHONPATH": path} | check.environment))
        outcome = outcomes[-1]
        print(f"{outcome.name}: {'passed' if outcome.passed else 'FAILED'}, {outcome.seconds:.0f} s", file=sys.stderr, flush=True)
        # Written after each check, because the caller may kill this process before the last one.
        (results / "outcomes.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    print("\n".join(table(outcomes)))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _run(check: Check, limit: float, results: Path, environment: dict[str, str]) -> Outcome:
    started = time.monotonic()
    log = results / (re.sub(r"\W+", "-", check.name) + ".log")
    with log.open("w") as file:
        print("$", *check.command, file=file, flush=True)
        try:
            if limit <= 0:
                raise TimeoutError("not started: the time limit of the run was reached")
            code = _wait(
                subprocess.Popen(
                    check.command,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,
                ),
                limit,
            )
            ending = f"exit status {code}"
        except (OSError, subprocess.TimeoutExpired) as error:
            code, ending = 1, str(error)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if len(lines) > 1 else ending
    return Outcome(check.name, code == 0, time.monotonic() - started, last if code == 0 else f"{last} ({ending})")


def _wait(process: subprocess.Popen[bytes], limit: float) -> int:
    """Return the exit status; after ``limit`` seconds kill the process group, since children would keep the GPU busy."""
    try:
        return process.wait(limit)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """Format the outcomes as a Markdown table, ready to paste into a document."""
    rows = [f"| {o.name} | {'passed' if o.passed else '**failed**'} | {o.seconds:.0f} s | {o.last_line[:120]} |" for o in outcomes]
    return ["| Check | | Time | Last line |", "|---|---|---|---|", *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    first = verbs.add_parser("prepare", help="download wheels and generate clips")
    first.add_argument("folder", type=Path)
    first.add_argument("--python", default="3.12", help="version of Python on the machine with the GPU")
    second = verbs.add_parser("run", help="run all checks")
    second.add_argument("folder", type=Path)
    second.add_argument("--minutes", type=float, default=10, help="time limit for all checks together")
    verbs.add_parser("facts", help="print the machine, its GPUs and the driver (a check of run)")
    third = verbs.add_parser("lengthen", help="repeat the clips (a check of run)")
    third.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.verb == "facts":
        show_facts()
    elif options.verb == "lengthen":
        lengthen(options.folder)
    elif options.verb == "prepare":
        prepare(options.folder, options.python)
    elif not (options.folder / "clips").is_dir():
        parser.error(f"{options.folder}: has no clips (run scripts/gpu-check prepare first)")
    else:
        sys.exit(run(options.folder.resolve(), options.minutes))


if __name__ == "__main__":
    main()
