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
from gpu_saliency.analysis.sidecar.read import read_header, read_sidecar
from gpu_saliency.analysis.sidecar.sidecar import Sidecar
from gpu_saliency.analysis.sidecar.write import save_sidecar
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.files import publish
from gpu_saliency.source.identity import FileIdentity


def store_sidecar(sidecar: Sidecar, path: Path) -> None:
    """Write ``sidecar``, and keep the records of a file that another run has written to ``path`` meanwhile.

    Raises `OutputError`, or `SidecarError` where that file is of another source, model, maps or sampling.
    """
    with locked(path):
        save_sidecar(_joined(sidecar, path), path)


@contextlib.contextmanager
def record_encode(
    sidecar: Sidecar, path: Path, name: str, record: dict[str, Any], *, shared: bool, overwrite: bool = True
) -> Iterator[None]:
    """Write ``sidecar`` with the record of the encode ``name`` to ``path``, and take it back if the block ends with an error.

    With ``shared`` the records of the file at ``path`` are kept. What is taken back is the record alone where other runs have
    written since, else the whole change. Raises as `store_sidecar`, and `OutputError` without ``overwrite`` if the file exists.
    """
    with locked(path):
        before = path.read_bytes() if path.exists() else None
        known = _joined(sidecar, path) if shared else sidecar
        save_sidecar(known.with_encode(name, record), path, overwrite=overwrite)
        written = FileIdentity.of(path)
    try:
        yield
    except BaseException:
        with locked(path), contextlib.suppress(OSError, ValueError, GpuSaliencyError):
            _take_back(path, name, before, is_last=FileIdentity.of(path) == written)
        raise


def _take_back(path: Path, name: str, before: bytes | None, *, is_last: bool) -> None:
    if not is_last:
        found = read_sidecar(path)
        save_sidecar(replace(found, encodes={key: value for key, value in found.encodes.items() if key != name}), path)
    elif before is None:
        path.unlink()
    else:
        with publish(path) as temporary:
            temporary.write_bytes(before)


def _joined(sidecar: Sidecar, path: Path) -> Sidecar:
    """``sidecar`` with the records in the file at ``path`` too, if there is one."""
    if not path.exists():
        return sidecar
    header = read_header(path)
    check_fresh(header, path, sidecar.source, sidecar.origin, sidecar.analysis.sampling)
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
