"""What the failure of a job means: run it again later, give it up, or stop the whole batch."""

from __future__ import annotations

import errno
import os
import random
from dataclasses import dataclass
from typing import Any

from gpu_saliency.errors import EncodeError, GpuSaliencyError, Interrupted, OutputError, ToolMissingError
from gpu_saliency.rungs import DIFFER

FIRST_WAIT, LONGEST_WAIT = 2.0, 300.0
"""Seconds before the second try, and the most before any; each wait is twice the one before."""
DEFAULT_TRIES = 3
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
_MEMORY_WORDS = ("out of memory", "not enough memory", "cannot allocate memory")

FINAL, PASSING, FULL = "final", "passing", "full"
"""Kinds of failures: every further try fails too; another try may succeed; no job can succeed until there is space."""


def kind_of(error: BaseException) -> str:
    """Which of `FINAL`, `PASSING` and `FULL` an error of a stage is.

    Usage, sources, models, maps and sidecars stay as they are; a proof that refused the encode, and key frames that
    differ between the rungs of a ladder, do too. An encoder that failed, a
    lack of memory, processes or open files, and defects may pass.
    """
    numbers = {one.errno for one in _chain(error) if isinstance(one, OSError) and one.errno is not None}
    text = str(error).lower()
    if numbers & _FULL or (isinstance(error, OutputError) and os.strerror(errno.ENOSPC).lower() in text):
        return FULL
    if numbers & _LACKING or isinstance(error, MemoryError) or any(words in text for words in _MEMORY_WORDS):
        return PASSING
    if isinstance(error, EncodeError):
        return FINAL if {"proof", DIFFER} & error.evidence.keys() else PASSING
    if isinstance(error, Interrupted):
        return PASSING
    if isinstance(error, ToolMissingError) or (
        isinstance(error, GpuSaliencyError) and error.exit_code != GpuSaliencyError.exit_code
    ):
        return FINAL
    return PASSING


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or one.__context__
    return chain


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a job after a failure."""

    state: str
    """``queued``, ``failed`` or ``quarantined``."""
    tries: int
    wait: float = 0.0
    """Seconds until the next try."""
    stops: bool = False
    """Whether the batch ends: the disk is full."""


def judge(kind: str, tries: int, most: int) -> Verdict:
    """Decide after a failure of ``kind`` of a job that had failed ``tries`` times before; ``most`` is the number of tries."""
    if kind == FULL:
        return Verdict("queued", tries, stops=True)
    if kind == FINAL:
        return Verdict("failed", tries + 1)
    if tries + 1 >= most:
        return Verdict("quarantined", tries + 1)
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2**tries)
    return Verdict("queued", tries + 1, wait=wait * random.uniform(0.75, 1.25))


def lost_error(reason: str) -> dict[str, Any]:
    """The error object of a job whose worker ended without an answer."""
    return {"kind": "worker-lost", "message": reason, "cure": None, "exit_code": 70}
