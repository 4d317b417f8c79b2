"""Controls the stand-in driver of this process: its schedule, limits, failures and counts."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from pathlib import Path

_SCHEDULES = {"eager": 0, "late": 1, "random": 2, "empty": 3}


@dataclass(frozen=True)
class Counts:
    """What was asked of the driver, in the order of ``struct Counts`` of schedule.h."""

    launches: int
    copies: int
    copied_bytes: int
    plane_copies: int
    """Copies of planes of decoded pictures to surfaces."""
    memsets: int
    host_waits: int
    """Calls with which the host waited for a stream, an event or the device."""
    stream_waits: int
    records: int
    allocations: int
    contexts: int
    caps: int
    """Calls of cuvidGetDecoderCaps."""

    def __sub__(self, before: Counts) -> Counts:
        return Counts(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(Counts)))


class Driver:
    """The stand-in's libraries, which are loaded once per process."""

    def __init__(self) -> None:
        self._cuda, self._nvdec = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL("libnvcuvid.so.1")
        self._cuda.standin_allocated.restype = ctypes.c_size_t
        self._counts = (ctypes.c_long * len(fields(Counts))).in_dll(self._cuda, "standin_counts")

    def schedule(self, name: str, seed: int = 1) -> None:
        """``eager``, ``late``, ``random`` or ``empty``; see schedule.h. Finishes all work first."""
        self._cuda.standin_schedule(_SCHEDULES[name], seed)

    def limit(self, size: int) -> None:
        """Let allocations fail that lead to more than ``size`` bytes in use."""
        self._cuda.standin_limit(ctypes.c_size_t(size))

    def allocated(self) -> int:
        return int(self._cuda.standin_allocated())

    def fail(self, kernel: str, after: int) -> None:
        """Let the launch number ``after`` of ``kernel`` fail, counted from 1."""
        self._cuda.standin_fail(kernel.encode(), after)

    def pictures(self, path: Path) -> None:
        """Let NVDEC deliver the pictures of that file, from `pictures.write_pictures`."""
        assert self._nvdec.standin_pictures(str(path).encode()) == 0, path

    def counts(self) -> Counts:
        return Counts(*self._counts)
