"""Measures the speed of the analysis: of each stage and of the whole, interleaved in one run."""

from __future__ import annotations

from gpu_saliency.bench.measure import BenchRow, measure_clip
from gpu_saliency.bench.report import about_machine, show_rows
from gpu_saliency.bench.stages import Stages

__all__ = ["BenchRow", "Stages", "about_machine", "measure_clip", "show_rows"]
