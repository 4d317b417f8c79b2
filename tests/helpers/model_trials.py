"""Finds the processes in which models are tried."""

from __future__ import annotations

import contextlib
from pathlib import Path


def trial_children(parent: int) -> list[int]:
    """Processes that ``parent`` started for the trial of a model and that still exist."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                of = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
                if of == parent and b"trial_child" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
