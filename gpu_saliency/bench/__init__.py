"""Measures the speed of the analysis: of each stage and of the whole, interleaved in one run."""

from __future__ import annotations

from gpu_saliency.bench.measure import BenchRow, InferRate, measure_clip, measure_inference
from gpu_saliency.bench.report import about_machine, show_inference, show_rows, show_rows_narrow
from gpu_saliency.bench.stages import Stages, Timed

__all__ = [
    "BenchRow",
    "InferRate",
    "Stages",
    "Timed",
    "about_machine",
    "measure_clip",
    "measure_inference",
    "show_inference",
    "show_rows",
    "show_rows_narrow",
]
