"""A file of which the walks read headers at any place."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """An open file and its size in bytes when it was opened."""

    descriptor: int
    size: int

    def at(self, place: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``place`` on; fewer at the end."""
        return os.pread(self.descriptor, count, place)


def cut_inside(what: str, place: int) -> str:
    """The fault of a file that ends inside ``what``, which begins at the byte ``place``."""
    return f"the file ends inside {what} that begins at byte {place}"
