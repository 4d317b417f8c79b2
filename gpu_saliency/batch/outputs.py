"""The outputs of jobs: flushed to the disk before a job counts as done, and recognised after a run that was killed.

An encode gives its output its name in one step, after the sidecar beside it, in which it notes the output's size. So a file that
appeared under the output's name after the encode began, and that has the size in the sidecar, is the whole output of that encode.
After a power loss the names may be there without the content; then nothing is trusted, and the job runs again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar import sidecar_beside
from gpu_saliency.analysis.sidecar.read import read_header
from gpu_saliency.batch.job import JobSpec, file_state, split_states
from gpu_saliency.batch.queue.queue import flush_folder
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.errors import GpuSaliencyError


def flush(*files: Path) -> None:
    """Have ``files`` that exist, and their names, on the disk when this returns. Raises `OSError`."""
    for file in files:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for folder in {file.parent for file in files}:
        flush_folder(folder)


def finished_unnoticed(job: Job) -> dict[str, Any] | None:
    """The result of a job that was lost after its encode had ended; ``None`` where it must run again.

    A ladder runs again always: it finds by its journal what is finished.
    """
    if job.spec.rungs or job.stage != "encode" or job.owner is None or not job.owner.is_of_this_boot:
        return None
    return appeared(job.spec, job.before)


def appeared(spec: JobSpec, before: str | None) -> dict[str, Any] | None:
    """The result of an encode whose whole output has appeared since its file had the state ``before``; else ``None``."""
    output = Path(spec.output)
    state = file_state(output)
    if state is None or state == before:
        return None
    sidecar = sidecar_of(spec)
    with contextlib.suppress(OSError, ValueError, GpuSaliencyError):
        record = read_header(sidecar).encodes.get(output.name)
        if record is not None and record.get("size_bytes") == output.stat().st_size:
            flush(output, sidecar)
            return {"output": {"path": str(output), "size_bytes": output.stat().st_size}, "encode": dict(record)}
    return None


def sidecar_of(spec: JobSpec) -> Path:
    """The sidecar of an encode."""
    given = spec.options.get("sidecar")
    return Path(given) if isinstance(given, str) else sidecar_beside(Path(spec.output))


def remove_stray_sidecars(job: Job) -> None:
    """Remove the sidecars that a lost encode left without their outputs."""
    before = split_states(job.before, len(job.spec.outputs))
    for spec, state in zip(job.spec.encodes(), before, strict=True):
        output, sidecar = Path(spec.output), sidecar_of(spec)
        if state is not None or "sidecar" in spec.options or os.path.lexists(output):
            continue
        with contextlib.suppress(OSError, ValueError, GpuSaliencyError):
            if set(read_header(sidecar).encodes) == {output.name}:
                sidecar.unlink()
