"""Cases in which something goes wrong around the program: signals, full disks, limits, broken standard streams."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from random import Random

from fuzzing.case import Case, Fault, Name
from fuzzing.nursery import LONG_FRAMES, Nursery

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _encode(nursery: Nursery, folder: Path, random: Random) -> Case:
    source, output = folder / "in" / "clip.mkv", folder / "out" / "o.mkv"
    shutil.copyfile(nursery.longer, source)
    arguments = [
        "encode",
        "--src",
        str(source),
        "--output",
        str(output),
        "--preset",
        random.choice(["ultrafast", "medium", "slow"]),
    ]
    arguments += ["--segments", random.choice(["auto", "4"]), "--prove", random.choice(["none", "excerpt"])]
    allowed = [output.with_name("o.mkv.saliency.npz")]
    return Case("", arguments, source, output, allowed, LONG_FRAMES, fresh=True)


def make_signal(name: Name, nursery: Nursery, folder: Path) -> Case:
    """SIGTERM, SIGINT or SIGHUP at a random moment; sometimes its ffmpeg was stopped before."""
    random = name.random()
    case = _encode(nursery, folder, random)
    number = _ENDING[name.index % len(_ENDING)]
    stop = name.index % 4 == 3
    case.fault = Fault(number, 0.2 if stop else random.uniform(0.02, 1.3), stop_child=stop)
    case.what = f"{number.name} at {case.fault.moment:.2f} of a run{', its ffmpeg stopped' if stop else ''}"
    return case


def make_kill(name: Name, nursery: Nursery, folder: Path) -> Case:
    """SIGKILL at a random moment, in every other case as process 1 of a PID namespace; then the same command must succeed."""
    random = name.random()
    case = _encode(nursery, folder, random)
    case.fault = Fault(signal.SIGKILL, random.uniform(0.05, 1.1), pid_namespace=name.index % 2 == 0, again=True)
    where = "as process 1" if case.fault.pid_namespace else "outside a namespace"
    case.what = f"SIGKILL at {case.fault.moment:.2f} of a run {where}, then again"
    return case


def make_disk(name: Name, nursery: Nursery, folder: Path) -> Case:
    """A disk for the output or for temporary files that is too small, or read-only."""
    random = name.random()
    case = _encode(nursery, folder, random)
    case.fresh = name.index % 4 == 0
    place = ("out", "tmp", "home")[name.index % 3]
    kib = random.choice([0, 64, 100, 200, 400, 20_000])
    (folder / place).mkdir(exist_ok=True)
    case.fault = Fault(disk=((place, kib),))
    case.what = f"{place} on a disk of {kib} KiB" if kib else f"{place} read-only"
    return case


def make_limit(name: Name, nursery: Nursery, folder: Path) -> Case:
    """A limit on the size of files, open files, address space, processor time, or core size."""
    random = name.random()
    case = _encode(nursery, folder, random)
    # A new interpreter could not even start with the smaller of these limits.
    case.fresh = False
    kind = ("RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_AS")[name.index % 3]
    values = {
        # The error itself goes to a file too.
        "RLIMIT_FSIZE": (4000, 10_000, 40_000, 100_000, 10**8),
        "RLIMIT_NOFILE": (5, 8, 12, 16, 24, 64, 256),
        "RLIMIT_AS": (1 << 25, 1 << 27, 1 << 28, 1 << 29, 1 << 30, 1 << 32),
    }
    value = random.choice(values[kind])
    case.fault = Fault(limits=((kind, value),))
    case.what = f"{kind} {value}"
    return case


def make_stream(name: Name, nursery: Nursery, folder: Path) -> Case:
    """A standard stream that is closed, full, or can hold only ASCII."""
    random = name.random()
    case = _encode(nursery, folder, random)
    streams = ("stdout-closed", "stderr-closed", "stdout-full", "stderr-full", "ascii")[name.index % 5]
    case.arguments += random.choice([[], ["--json"]])
    if streams == "ascii":
        source = folder / "in" / "Füchse · 狐.mkv"
        (folder / "in" / "clip.mkv").rename(source)
        case.source, case.arguments[2] = source, str(source)
    case.fault = Fault(streams=streams)
    case.what = f"{streams}, {' '.join(case.arguments[-1:])}"
    return case
