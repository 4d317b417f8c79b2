"""Bjontegaard deltas of two rate-quality curves: bits at equal quality, and quality at equal bits.

G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with the monotone cubics of JCTVC-L1100
in place of one polynomial of degree 3. The logarithm of the rate is interpolated over the quality, and averaged over the range of
quality that both curves share.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpu_saliency.compare.pchip import interpolate

LEAST_POINTS = 4
"""Points of each curve, as VCEG-M33 asks for."""
LEAST_OVERLAP = 0.25
"""Part of both curves' range of quality that they must share; with less, the delta describes a corner of the curves."""
Curve = Sequence[tuple[float, float]]
"""Points (rate, quality); the rate in any unit above 0."""


@dataclass(frozen=True, slots=True)
class Delta:
    """The difference of two curves. Numbers are ``None`` where there is a ``reason`` for that."""

    rate_percent: float | None
    """Mean change of the rate at equal quality; negative is fewer bits."""
    quality: float | None
    """Mean change of the quality at equal rate, in the metric's unit; positive is better."""
    overlap: float | None
    """The range of quality that both curves share, as a part of that which either covers, 0..1."""
    reason: str | None = None


def compare_curves(plain: Curve, other: Curve) -> Delta:
    """The deltas of ``other`` against ``plain``, with the reason where they cannot be computed."""
    for curve in (plain, other):
        if len(curve) < LEAST_POINTS:
            return _none(f"{LEAST_POINTS} rates are needed, {len(curve)} are given")
    if not all(math.isfinite(quality) for curve in (plain, other) for _, quality in curve):
        return _none("a point has no finite value")
    for name, curve in (("plain", plain), ("ROI", other)):
        if not _rises(curve):
            return _none(f"the quality of the {name} encodes does not rise with each step of the rate")
    shared = overlap(plain, other)
    if shared < LEAST_OVERLAP:
        problem = f"share {100 * shared:.0f} % of their range of quality" if shared > 0 else "share no quality"
        return Delta(None, None, shared, f"the curves {problem}, at least {100 * LEAST_OVERLAP:.0f} % are needed")
    return Delta(bd_rate(plain, other), bd_quality(plain, other), shared)


def bd_rate(plain: Curve, other: Curve) -> float:
    """Mean change of the rate at equal quality in per cent; negative is fewer bits. NaN if the curves share no quality."""
    mean = _mean_difference(*([(quality, math.log(rate)) for rate, quality in curve] for curve in (plain, other)))
    return 100 * math.expm1(mean)


def bd_quality(plain: Curve, other: Curve) -> float:
    """Mean change of the quality at equal rate, in its unit. NaN if the curves share no rate."""
    return _mean_difference(*([(math.log(rate), quality) for rate, quality in curve] for curve in (plain, other)))


def overlap(plain: Curve, other: Curve) -> float:
    """The range of quality that both curves share, as a part of that which either covers, 0..1."""
    ranges = [(min(values), max(values)) for values in ([quality for _, quality in curve] for curve in (plain, other))]
    shared = min(high for _, high in ranges) - max(low for low, _ in ranges)
    covered = max(high for _, high in ranges) - min(low for low, _ in ranges)
    return max(0.0, shared / covered) if covered > 0 else 0.0


def _mean_difference(plain: Curve, other: Curve) -> float:
    """Mean of ``other`` minus ``plain`` over the range of the first coordinate that they share."""
    a, b = (interpolate(*np.array(sorted(curve)).T) for curve in (plain, other))
    low, high = max(a.x[0], b.x[0]), min(a.x[-1], b.x[-1])
    return (b.integral(low, high) - a.integral(low, high)) / float(high - low) if high > low else math.nan


def _rises(curve: Curve) -> bool:
    """Whether more bits always give more quality."""
    ordered = sorted(curve)
    return all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(ordered))


def _none(reason: str) -> Delta:
    return Delta(None, None, None, reason)
