"""What this machine has: cores, memory, GPUs; and the numbers of workers that suit it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

MOST_THREADS = 16
"""More threads hardly speed up one encode of 1080p, and cost quality."""
_BYTES_PER_WORKER = 3 << 29
"""Memory that a worker with its encoder needs at 1080p, about."""
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


def gpu_count() -> int:
    """The NVIDIA GPUs that this process may use, without starting their driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([word for word in visible.split(",") if word.strip() not in ("", "-1")])
    with contextlib.suppress(OSError):
        return len(list(Path("/proc/driver/nvidia/gpus").iterdir()))
    return 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many workers run at once, and the threads of a job."""

    plan: int
    encode: int
    threads: int

    @classmethod
    def suited(cls, plan: int | None = None, encode: int | None = None) -> Sizes:
        """Choose what is ``None`` for this machine.

        A job's encoder gets all cores, `MOST_THREADS` at most. There are two encodes at once, so that one fills the cores while the
        other reads, joins and proves, and more on machines with more cores than they use. One plan worker works ahead on each GPU;
        without one, an eighth of the cores' number of them. Memory limits both.
        """
        return cls.fitting(usable_cores(), free_memory(), gpu_count(), plan, encode)

    @classmethod
    def fitting(cls, cores: int, memory: int | None, gpus: int, plan: int | None = None, encode: int | None = None) -> Sizes:
        """As `suited`, for a machine with so many cores and GPUs, and bytes of free memory if they are known."""
        threads = min(cores, MOST_THREADS)
        fitting = max(2, memory // _BYTES_PER_WORKER) if memory is not None else 64
        plan = plan or min(gpus or max(1, cores // 8), max(1, fitting // 2))
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
