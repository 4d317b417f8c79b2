"""Compares plain encodes with encodes by a plan at several rates: scores, BD-rates, a report, blind pairs (docs/compare.md)."""

from gpu_saliency.compare.request import CompareRequest
from gpu_saliency.compare.result import CompareResult
from gpu_saliency.compare.run import compare_encodes

__all__ = ["CompareRequest", "CompareResult", "compare_encodes"]
