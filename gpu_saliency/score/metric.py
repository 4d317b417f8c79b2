"""One metric over a clip: its value for each frame, and how they are pooled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Metric:
    """Values of one metric, frame by frame, and pooled; lives on the host.

    Infinite where a picture equals its reference and the unit is dB; NaN for a frame that the metric does not apply to, such as
    one whose mask is empty. Pooled values skip those frames.
    """

    unit: str
    """``dB``, or empty for a metric without a unit."""
    frames: NDArray[np.float64]
    """``[frames]``."""
    pooled: float
    """The metric of the whole clip as its definition pools it: PSNR from the mean squared error of all frames, XPSNR as ffmpeg
    averages it, the others as the mean."""

    @classmethod
    def of(cls, values: ArrayLike, unit: str = "", pooled: float | None = None) -> Metric:
        """Make a metric; ``pooled`` is the mean where it is not given."""
        frames = np.asarray(values, np.float64)
        return cls(unit, frames, _mean(_applicable(frames)) if pooled is None else float(pooled))

    @property
    def mean(self) -> float:
        return _mean(_applicable(self.frames))

    @property
    def harmonic_mean(self) -> float:
        """As libvmaf defines it: 1 / mean(1 / (v + 1)) - 1, so that a frame of 0 does not decide alone."""
        values = _applicable(self.frames)
        return float(1 / np.mean(1 / (values + 1)) - 1) if len(values) else math.nan

    def percentile(self, percent: float) -> float:
        """The value of the frame at ``percent`` of the sorted frames, rounded outwards; no interpolation."""
        values = _applicable(self.frames)
        outwards = "lower" if percent <= 50 else "higher"
        return float(np.percentile(values, percent, method=outwards)) if len(values) else math.nan  # type: ignore[call-overload]

    def to_json(self) -> dict[str, Any]:
        """The object of docs/result.md; ``null`` for what is infinite or not applicable."""
        summary = {
            "pooled": self.pooled,
            "mean": self.mean,
            "harmonic_mean": math.nan if self.unit else self.harmonic_mean,
            "p5": self.percentile(5),
            "p95": self.percentile(95),
            "min": self.percentile(0),
            "max": self.percentile(100),
        }
        rounded = {name: finite(value) for name, value in summary.items()}
        return {"unit": self.unit or None} | rounded | {"frames": [finite(float(value)) for value in self.frames]}


def finite(value: float) -> float | None:
    """``value`` rounded for JSON, which has no infinity."""
    return round(value, 6) if math.isfinite(value) else None


def _applicable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan


def psnr(mse: float, peak: float) -> float:
    """PSNR in dB; infinite without an error."""
    return math.inf if mse == 0 else 10 * math.log10(peak * peak / mse)
