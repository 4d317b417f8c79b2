"""What this machine has: cores, memory, GPUs; and the numbers of workers that suit it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gpu_saliency.source.sampling import KEYFRAME

MOST_THREADS = 16
"""More threads hardly speed up one encode of 1080p, and cost quality."""
_BYTES_PER_WORKER = 3 << 29
"""Memory that a worker with its encoder needs at 1080p, about."""
_MINOR = re.compile(r"Device Minor:\s*(\d+)")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def free_memory() -> int | None:
    """Bytes that programs can still get; ``None`` where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return None


def visible_gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them, without starting their driver."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return parse_visible(named)
    found: list[str] = []
    with contextlib.suppress(OSError):
        for folder in sorted(Path("/proc/driver/nvidia/gpus").iterdir()):
            minor = _MINOR.search((folder / "information").read_text())
            # A container may see all GPUs there, and has the device files of its own.
            if minor is None or os.access(f"/dev/nvidia{minor[1]}", os.R_OK | os.W_OK):
                found.append(str(len(found)))
    return tuple(found)


def parse_visible(text: str) -> tuple[str, ...]:
    """The GPUs in a value of CUDA_VISIBLE_DEVICES: as CUDA does, up to the first one that is none, and none twice."""
    found: dict[str, None] = {}
    for word in (word.strip() for word in text.split(",")):
        if not word or word.startswith("-") or word in found:
            break
        found[word] = None
    return tuple(found)


def gpu_count() -> int:
    """The number of `visible_gpus`."""
    return len(visible_gpus())


def gpu_slots(gpus: int, jobs: Iterable[Mapping[str, object]]) -> int:
    """How many of ``jobs``, by their options, can be analysed at once so that each has the GPUs that it uses for itself.

    A job without the option ``gpu`` uses any one of ``gpus``. 0 where no job uses a GPU, or there is none.
    """
    named: set[str] = set()
    most, any_gpu = 0, False
    for options in jobs:
        if options.get("device") == "cpu" or options.get("every") == KEYFRAME or "maps" in options:
            continue
        if "gpu" not in options:
            any_gpu = True
            continue
        own = {word.strip() for word in str(options["gpu"]).split(",")}
        named, most = named | own, max(most, len(own))
    if any_gpu or not most:
        return gpus if any_gpu else 0
    return min(gpus, len(named)) // most if gpus else 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many workers run at once, and the threads of a job."""

    plan: int
    encode: int
    threads: int

    @classmethod
    def suited(
        cls, plan: int | None = None, encode: int | None = None, jobs: Iterable[Mapping[str, object]] = (MappingProxyType({}),)
    ) -> Sizes:
        """Choose what is ``None`` for this machine and ``jobs``, by their options.

        A job's encoder gets all cores, `MOST_THREADS` at most. There are two encodes at once, so that one fills the cores while the
        other reads, joins and proves, and more on machines with more cores than they use. One plan worker works ahead on each GPU
        (or group of GPUs that one job uses), but not more than there are cores to feed them; without a GPU, an eighth of the
        cores' number of them. Memory limits both, and each has one at least.
        """
        return cls.fitting(usable_cores(), free_memory(), gpu_slots(gpu_count(), jobs), plan, encode)

    @classmethod
    def fitting(cls, cores: int, memory: int | None, gpus: int, plan: int | None = None, encode: int | None = None) -> Sizes:
        """As `suited`, for a machine with so many cores and GPUs, and bytes of free memory if they are known."""
        threads = min(cores, MOST_THREADS)
        fitting = max(2, memory // _BYTES_PER_WORKER) if memory is not None else 64
        plan = plan or min(min(gpus, cores) or max(1, cores // 8), max(1, fitting // 2))
        encode = encode or min(max(2, -(-2 * cores // MOST_THREADS)), max(1, fitting - plan))
        return cls(plan, encode, threads)


def memory_of(pid: int) -> int:
    """Resident bytes of a process and all that it started."""
    total, waiting = 0, [str(pid)]
    while waiting:
        one = waiting.pop()
        total += resident(int(one))
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                with contextlib.suppress(OSError):
                    waiting += (task / "children").read_text().split()
    return total


def resident(pid: int) -> int:
    """Resident bytes of one process; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
