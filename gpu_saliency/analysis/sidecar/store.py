"""Writes sidecars that several runs share: each adds its records under a lock, and none is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar.fresh import check_fresh
from gpu_saliency.analysis.sidecar.read import read_header
from gpu_saliency.analysis.sidecar.sidecar import Sidecar
from gpu_saliency.analysis.sidecar.write import save_sidecar


def store_sidecar(sidecar: Sidecar, path: Path) -> None:
    """Write ``sidecar``, and keep the records of a file that another run has written to ``path`` meanwhile.

    Raises `OutputError`, or `SidecarError` where that file is of another source, model, maps or step.
    """
    with locked(path):
        save_sidecar(_joined(sidecar, path), path)


def record_encode(sidecar: Sidecar, path: Path, name: str, record: dict[str, Any], *, shared: bool) -> None:
    """Write ``sidecar`` with the record of the encode ``name`` to ``path``; with ``shared`` the file's other records are kept.

    Raises as `store_sidecar`.
    """
    with locked(path):
        known = _joined(sidecar, path) if shared else sidecar
        save_sidecar(known.with_encode(name, record), path)


def _joined(sidecar: Sidecar, path: Path) -> Sidecar:
    """``sidecar`` with the records in the file at ``path`` too, if there is one."""
    if not path.exists():
        return sidecar
    header = read_header(path)
    check_fresh(header, path, sidecar.source, sidecar.origin, sidecar.analysis.step)
    return replace(sidecar, encodes=sidecar.encodes | header.encodes)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other runs from writing to ``path`` during the block.

    The lock is on its folder: a lock file would remain, and a lock on the file itself would not outlive its replacement. File
    systems without such locks (some of networks) are used without one.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # writing reports the reason
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
