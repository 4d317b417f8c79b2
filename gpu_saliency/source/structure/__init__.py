"""Walks the boxes, clusters, items, pages or tags of a container and reports where the file ends inside one or a part is missing.

libavformat takes the end of the file for the end of the clip in most containers, and tells nobody that a box was cut. Only headers
are read, so the walk takes some microseconds per box.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gpu_saliency.source.structure.bare import h264_fault, hevc_fault, mpeg_fault
from gpu_saliency.source.structure.boxes import asf_fault, mp4_fault, riff_fault
from gpu_saliency.source.structure.ebml import ebml_fault
from gpu_saliency.source.structure.file import File
from gpu_saliency.source.structure.frames import apng_fault, flv_fault, gif_fault, ivf_fault, transport_fault, y4m_fault
from gpu_saliency.source.structure.mxf import mxf_fault
from gpu_saliency.source.structure.nut import nut_fault
from gpu_saliency.source.structure.ogg import ogg_fault
from gpu_saliency.source.structure.program import program_fault

_WALKS: dict[str, Callable[[File], str | None]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": mp4_fault,
    "matroska,webm": ebml_fault,
    "avi": riff_fault,
    "asf": asf_fault,
    "flv": flv_fault,
    "gif": gif_fault,
    "apng": apng_fault,
    "h264": h264_fault,
    "hevc": hevc_fault,
    "ivf": ivf_fault,
    "mpeg": program_fault,
    "mpegts": transport_fault,
    "mpegvideo": mpeg_fault,
    "mxf": mxf_fault,
    "nut": nut_fault,
    "ogg": ogg_fault,
    "yuv4mpegpipe": y4m_fault,
}
"""Walk by libavformat's name of the container."""


def structure_fault(path: Path, container: str) -> str | None:
    """Return what is wrong with the structure of the file; ``None`` where nothing is, or the ``container`` has no walk here."""
    walk = _WALKS.get(container)
    if walk is None:
        return None
    try:
        with path.open("rb") as file:
            return walk(File(file.fileno(), path.stat().st_size))
    except OSError:
        return None  # the file was there a moment ago; the encode reports it
