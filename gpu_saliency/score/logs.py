"""Reads what ffmpeg's filters wrote during a pass."""

from __future__ import annotations

import json
import math
import re

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.score.graph import Measured, ScoreFiles
from gpu_saliency.score.metric import Metric, psnr
from gpu_saliency.score.views import View

_XPSNR_AVERAGE = re.compile(r"XPSNR average, \d+ frames\s+y: (\S+)\s+u: (\S+)\s+v: (\S+)")
_PLANES = "yuv"
_LUMA_WEIGHT = 6
"""Of luma against each chroma plane in ``psnr``, as JVET's common test conditions report PSNR of all planes."""


def read_filters(files: ScoreFiles, measured: Measured, peak: int) -> dict[str, Metric]:
    """PSNR, SSIM and XPSNR from the metadata that the filters attached to each frame."""
    if not measured.filters:
        return {}
    columns: dict[str, list[float]] = {}
    for line in files.metadata.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and key.startswith("lavfi."):
            columns.setdefault(key[6:], []).append(float(value))
    found: dict[str, Metric] = {}
    if "psnr" in measured.filters:
        errors = {plane: float(np.mean(columns[f"psnr.mse.{plane}"])) for plane in _PLANES}
        for plane in _PLANES:
            found[f"psnr_{plane}"] = Metric.of(columns[f"psnr.psnr.{plane}"], "dB", psnr(errors[plane], peak))
        found["psnr"] = _all_planes(found)
    if "ssim" in measured.filters:
        found["ssim"] = Metric.of(columns["ssim.All"])
        found |= {f"ssim_{plane}": Metric.of(columns[f"ssim.{plane.upper()}"]) for plane in _PLANES}
    if "xpsnr" in measured.filters:
        averages = _XPSNR_AVERAGE.search(files.xpsnr.read_text())
        assert averages is not None
        for plane, average in zip(_PLANES, averages.groups(), strict=True):
            found[f"xpsnr_{plane}"] = Metric.of(columns[f"xpsnr.xpsnr.{plane}"], "dB", float(average))
    return found


def _all_planes(found: dict[str, Metric]) -> Metric:
    """PSNR of the planes, weighted 6:1:1."""

    def weigh(y: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((_LUMA_WEIGHT * y + u + v) / (_LUMA_WEIGHT + 2))

    planes = [found[f"psnr_{plane}"] for plane in _PLANES]
    pooled = float(weigh(*(np.float64(plane.pooled) for plane in planes)))  # type: ignore[arg-type]
    return Metric.of(weigh(*(plane.frames for plane in planes)), "dB", pooled)


def read_vmaf(files: ScoreFiles, views: tuple[View, ...], *, region: bool) -> dict[str, Metric]:
    """VMAF and CAMBI from the logs of libvmaf. A metric that libvmaf left out is not in the result."""
    found: dict[str, Metric] = {}
    for view in views:
        entries = [entry["metrics"] for entry in json.loads(files.vmaf(view, region=region).read_text())["frames"]]
        names = [*view.models, *(("cambi",) if view.cambi else ())]
        found |= {name: Metric.of([entry.get(name, math.nan) for entry in entries]) for name in names if name in entries[0]}
    return found
