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
from gpu_saliency.batch.job import file_state
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
    """The result of a job that was lost after its encode had ended; ``None`` where it must run again."""
    if job.stage != "encode" or job.owner is None or not job.owner.is_of_this_boot:
        return None
    output = Path(job.spec.output)
    state = file_state(output)
    if state is None or state == job.before:
        return None
    given = job.spec.options.get("sidecar")
    sidecar = Path(given) if isinstance(given, str) else sidecar_beside(output)
    with contextlib.suppress(OSError, ValueError, GpuSaliencyError):
        record = read_header(sidecar).encodes.get(output.name)
        if record is not None and record.get("size_bytes") == output.stat().st_size:
            flush(output, sidecar)
            return {"output": {"path": str(output), "size_bytes": output.stat().st_size}, "encode": dict(record)}
    return None
