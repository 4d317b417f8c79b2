"""What a measurement must say of itself: date, machine and versions."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

import av
import numpy as np

from gpu_saliency._version import __version__
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, find_ffmpeg

_CPUINFO = Path("/proc/cpuinfo")


def machine() -> str:
    """Architecture, number of cores and, where Linux tells it, the name of the processor."""
    lines = _CPUINFO.read_text(errors="replace").splitlines() if _CPUINFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return ", ".join([platform.machine(), f"{os.cpu_count()} cores", *names[:1]])


def about_run() -> dict[str, Any]:
    """Date, machine and versions of a run, so that its figures can be reproduced."""
    versions = {
        "gpu_saliency": __version__,
        "ffmpeg": find_ffmpeg(DEFAULT_FFMPEG, "libx264").version,
        "av": av.__version__,
        "numpy": np.__version__,
    }
    return {"date": str(date.today()), "machine": machine(), "versions": versions}
