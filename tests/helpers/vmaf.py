"""VMAF by ffmpeg's own filter: tests of other things than `score` need one of the metrics, and it takes a fraction of the time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from clips import FFMPEG


def vmaf(reference: Path, encode: Path) -> float:
    """Mean VMAF v1 of all frames at the clip's own size; tests/ffmpeg/test_score.py shows that ``score`` finds the same."""
    prepare = "settb=1/24,setpts=N,format=yuv420p10le"
    graph = f"[0:v]{prepare}[d];[1:v]{prepare}[r];[d][r]libvmaf=model=version=vmaf_v1.0.16_3d0h:n_threads=2"
    command = [FFMPEG, "-hide_banner", "-i", str(encode), "-i", str(reference), "-filter_complex", graph, "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stderr
    found = re.search(r"VMAF score: ([\d.]+)", said)
    assert found is not None, said
    return float(found[1])
