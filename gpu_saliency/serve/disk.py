"""`Disk`: whether there is space for more outputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gpu_saliency.errors import DiskLowError


class Disk:
    """The free space of the allowed folders and of the server's state."""

    def __init__(self, state: Path, roots: Sequence[str], least: int) -> None:
        """``least`` is the number of bytes below which no job is accepted or started."""
        self._state, self._roots, self._least = str(state), tuple(roots), least

    def free(self) -> dict[str, int]:
        """Free bytes by folder, for the folders that can be written."""
        folders = [self._state, *(root for root in self._roots if os.access(root, os.W_OK))]
        return {folder: free_bytes(folder) for folder in folders}

    @property
    def admits(self) -> bool:
        """Whether jobs may start."""
        return all(free >= self._least for free in self.free().values())

    def check(self, output: str) -> None:
        """Raise `DiskLowError` if there is no space for the file ``output``."""
        folder = Path(output).parent
        while not folder.is_dir():
            folder = folder.parent
        for one in (str(folder), self._state):
            free = free_bytes(one)
            if free < self._least:
                words = f"{one}: has {free >> 20:,} MiB free, {self._least >> 20:,} are kept"
                raise DiskLowError(words, cure="free some space, and send it again")


def free_bytes(folder: str) -> int:
    """Bytes that this user can still write to the file system of ``folder``; 0 where it does not tell."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
