"""Limits the heaps of the C library, so that the memory of a process that runs for long does not creep up.

glibc gives the threads of a process up to 8 heaps ("arenas") for each core. A thread that begins takes any of them, and glibc keeps
up to 64 MiB free at the end of each, which ``malloc_trim`` does not give back either (malloc/malloc.c of 2.36: ``mtrim`` trims the
main arena's end only). Decoders, encoders and models start threads for each clip, so that more and more heaps hold such a rest
although nothing leaks. The allocations here are few and large, so that two heaps are as fast.
"""

from __future__ import annotations

import os

ARENAS = 2
_M_ARENA_MAX = -8
"""The parameter's number in glibc's malloc.h."""


def limit_arenas() -> None:
    """Limit this process to `ARENAS` heaps; call it before it starts threads. Child programs are not affected.

    Without effect where the user set a limit (``MALLOC_ARENA_MAX``, ``glibc.malloc.arena_max``) or the C library is not glibc.
    """
    if "MALLOC_ARENA_MAX" in os.environ or "glibc.malloc.arena_max" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    try:
        is_glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # no such function or name on this system
        return
    if is_glibc:
        import ctypes

        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
