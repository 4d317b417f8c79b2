"""Writes a sidecar: a zip of ``header.json`` and ``.npy`` members, which any language and ``numpy.load`` can read."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar.sidecar import FORMAT, VERSION, Sidecar
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import setting
from gpu_saliency.files import publish, writing
from gpu_saliency.grid import BLOCK_SIZE

# A fixed time stamp, so that the same analysis gives the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def save_sidecar(sidecar: Sidecar, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Write ``sidecar`` to ``path`` atomically: after an error, an older file is unchanged. Raises `OutputError`.

    Without ``overwrite`` an existing file is an error, also one that appears while this one is written.
    """
    path = Path(path)
    members = {"header.json": json.dumps(_header_of(sidecar), indent=1).encode()}
    for name, array in _arrays_of(sidecar.track).items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    cure = f"give {setting('sidecar')} another path"
    with (
        publish(path, overwrite=overwrite, cure=cure, name="sidecar") as temporary,
        writing(path, cure=cure),
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), data, zipfile.ZIP_DEFLATED)


def _header_of(sidecar: Sidecar) -> dict[str, Any]:
    track = sidecar.track
    return {
        "format": FORMAT,
        "version": VERSION,
        "block_size": BLOCK_SIZE,
        "frame_count": track.frame_count,
        "samples": len(track.sample_frame),
        "cuts": list(track.cuts),
        "time_base": str(track.time_base),
        "has_frame_pts": track.frame_pts is not None,
        "has_gaze": track.gaze is not None,
        "source": sidecar.source.to_json(),
        **sidecar.origin_json(),
        "analysis": sidecar.analysis.to_json(),
        "encodes": sidecar.encodes,
    }


def _arrays_of(track: SaliencyTrack) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "saliency": track.saliency,
        "detail": track.activity,
        "sample_frame": track.sample_frame,
        "motion": track.motion,
    }
    if track.gaze is not None:
        arrays["gaze"] = track.gaze
    if track.frame_pts is not None:
        # Differences instead of time stamps: at a constant frame rate they are all equal and compress to almost nothing.
        arrays["frame_pts"] = np.diff(track.frame_pts, prepend=0)
    return arrays
