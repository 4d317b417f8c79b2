"""Everything that must be shown on a GPU, in one command that takes ten minutes at most and needs no network.

    scripts/gpu-check prepare DIR [--python 3.12]      on a machine with a network and an ffmpeg: wheels and clips into DIR
    scripts/gpu-check run DIR [--minutes 10]           on the machine with the GPU: all checks, a table, DIR/results/

``prepare`` fetches the wheels that a machine with CUDA's Python packages (cupy, numpy, rich, typer, pytest) may lack, and makes the
clips. ``run`` unpacks the wheels into DIR/site, needs no pip, and goes on after a check that fails; each has its own log and time
limit in DIR/results. Its exit status is 1 where a check failed. The checks:

facts      the GPU, its driver, what NVDEC decodes, versions
clips      makes them longer, by repeating them
tests      the suite marked needs_cuda, which fails without a GPU, NVDEC or g++
parity     the GPU's analysis beside the CPU's, by NVDEC, by several decoders and by upload (benchmarks/gpu_parity.py)
sanitizer  compute-sanitizer over the kernels' tests: memcheck and racecheck
bench      each stage and the whole by codec, batch size and number of decoders (gpu-saliency bench)
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
"""Of a clip that travels."""
TIMES = 16
"""What is measured is that many times as long: what starting costs must be small beside the rest, and many decoders need many key
frames."""
REPEAT = """
import sys
from pathlib import Path
from gpu_saliency.bench.generate import repeat_clip
source, target, times, frames = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
target.mkdir(exist_ok=True)
for clip in sorted(source.glob("*.mp4")):
    repeat_clip(clip, target / clip.name, times, frames)
    print(clip.name, "repeated", times, "times, up to", frames, "frames")
"""
FACTS = """
import json
from gpu_saliency.bench import about_machine
from gpu_saliency.analysis.cuda.probe import require_cuda
from gpu_saliency.analysis.cuda.probe import describe_gpu
from gpu_saliency.analysis.settings import GpuSettings
about = about_machine(describe_gpu())
print(json.dumps(about, indent=1))
require_cuda(GpuSettings())
print(", ".join(gpu["name"] for gpu in about["gpu"]["gpus"]), "with driver", about["gpu"]["driver"])
"""
SANITIZER_TESTS = "test_the_same_as_by_gxx or nv12"


@dataclass(frozen=True, slots=True)
class Check:
    """One command of the run."""

    name: str
    command: list[str]
    seconds: int
    """Limit."""
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check."""

    name: str
    passed: bool
    seconds: float
    last_line: str


def prepare(folder: Path, python: str) -> None:
    """Wheels and clips into ``folder``. Raises `SystemExit` when one cannot be had."""
    sys.path.insert(0, str(ROOT))
    from gpu_saliency.bench.generate import generate_clip

    wheels, clips = folder / "wheels", folder / "clips"
    wheels.mkdir(parents=True, exist_ok=True)
    clips.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(wheels)]
    command += ["--implementation", "cp", "--python-version", python]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    if subprocess.run([*command, *WHEELS], check=False).returncode:
        raise SystemExit("pip could not fetch the wheels")
    for codec in CODECS:
        path = clips / f"{codec}-1080p.mp4"
        if not path.exists():
            print(f"making {path}", file=sys.stderr)
            generate_clip(path, 1920, 1080, FRAMES, codec)
    for path in sorted((*wheels.iterdir(), *clips.iterdir())):
        print(f"{path}  {path.stat().st_size / 2**20:.1f} MiB")


def unpack(folder: Path) -> Path:
    """The wheels of ``folder`` as a place for PYTHONPATH."""
    site = folder / "site"
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        stamp = site / f".{wheel.name}"
        if not stamp.exists():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
                # A wheel says which of its files are programs by their mode, which extracting drops.
                for info in archive.infolist():
                    if info.external_attr >> 16 & 0o100:
                        (site / info.filename).chmod(0o755)
            stamp.touch()
    return site


def checks(folder: Path, results: Path) -> list[Check]:
    """All of them, in the order in which they matter most."""
    python = sys.executable
    short, long = folder / "clips", folder / "long"
    clips = [str(long / path.name) for path in sorted(short.glob("*.mp4"))]
    required = {"GPU_SALIENCY_REQUIRE": "cuda,g++"}
    # Warnings are shown and are no failures: libraries there may be of other versions than where the suite is run else.
    tests = [python, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "-m", "needs_cuda"]
    parity = [python, str(ROOT / "benchmarks" / "gpu_parity.py"), *clips, "--seconds", "2"]
    bench = [python, "-m", "gpu_saliency", "bench", *clips, "--device", "cuda", "--rounds", "3", "--overwrite"]
    found = [
        Check("facts", [python, "-c", FACTS], 120, {}),
        Check("clips", [python, "-c", REPEAT, str(short), str(long), str(TIMES), str(TIMES * FRAMES)], 60, {}),
        Check("tests", [*tests, str(ROOT / "tests")], 240, required),
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
        kernels = [str(ROOT / "tests" / "test_kernels_cuda.py"), "-k", SANITIZER_TESTS]
        found.append(Check(f"sanitizer, {tool}", [*command, *kernels], 120, required))
    return found


def run(folder: Path, minutes: float) -> int:
    """All checks within ``minutes``; the exit status."""
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
        # After each: who runs this may end it before the last.
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
                raise TimeoutError("no time left")
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
    """Its exit status. Where it takes longer, it ends with all that it has started, which would hold the GPU otherwise."""
    try:
        return process.wait(limit)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """As Markdown, so that it can go into a document as it is."""
    rows = [f"| {o.name} | {'passed' if o.passed else '**failed**'} | {o.seconds:.0f} s | {o.last_line[:120]} |" for o in outcomes]
    return ["| Check | | Time | Its last line |", "|---|---|---|---|", *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    first = verbs.add_parser("prepare", help="fetch wheels and make clips")
    first.add_argument("folder", type=Path)
    first.add_argument("--python", default="3.12", help="version of Python on the machine with the GPU")
    second = verbs.add_parser("run", help="run all checks")
    second.add_argument("folder", type=Path)
    second.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    if options.verb == "prepare":
        prepare(options.folder, options.python)
    elif not (options.folder / "clips").is_dir():
        parser.error(f"{options.folder}: has no clips; run prepare first")
    else:
        sys.exit(run(options.folder.resolve(), options.minutes))


if __name__ == "__main__":
    main()
