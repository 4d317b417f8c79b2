"""`AttentionCurve`: how much viewers look at a block, by what a model says of it; measured on recorded gaze for each model.

It travels in the ONNX metadata as ``gpu_saliency.attention`` and in the sidecar. ``scripts/training/fit_attention.py`` fits it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.untrusted.strict_json import parse_json

ATTENTION_KEY = "gpu_saliency.attention"
Points = tuple[tuple[float, float], ...]
_MAX_TEXT = 1 << 16
_MAX_POINTS = 64
_MAX_WEIGHT = 1e4
"""Largest ``w``: all gaze in one block of a frame of 1920x1080 gives 8,160."""
_MAX_BETA = 4.0
_LEAST = 1e-6
"""Map values below it are read as it; the logarithm of 0 is not finite."""


@dataclass(frozen=True, slots=True)
class AttentionCurve:
    """Attention ``w`` of a block: recorded gaze density there, as a multiple of the frame's mean.

    Raises `ValueError` for a curve that falls or has a number out of range.
    """

    gaze: Points
    """``(G, w)``, both rising, 2 to 64 points; between them both are interpolated on logarithmic scales."""
    saliency: Points
    """``(s, w)``, likewise, for tracks without a gaze map."""
    object: float = 0.0
    """Added to ``w`` for each unit of saliency, 0..10000."""
    floor: float = 0.0
    """Least ``w``, 0..10000."""
    beta: float = 0.5
    """Exponent at the nominal strength, 0..4."""

    def __post_init__(self) -> None:
        for name, points in (("gaze", self.gaze), ("saliency", self.saliency)):
            if not 2 <= len(points) <= _MAX_POINTS:
                raise ValueError(f"{name} has {len(points)} points, not 2 to {_MAX_POINTS}")
            if not all(0 < x <= 1 and 0 < w <= _MAX_WEIGHT for x, w in points):  # also refuses nan
                raise ValueError(f"{name} has a point outside 0 .. 1 or a weight outside 0 .. {_MAX_WEIGHT:g}")
            if any(x <= before or w < least for (before, least), (x, w) in itertools.pairwise(points)):
                raise ValueError(f"{name} does not rise")
        limits = (("object", self.object, _MAX_WEIGHT), ("floor", self.floor, _MAX_WEIGHT), ("beta", self.beta, _MAX_BETA))
        for name, value, most in limits:
            if not 0 <= value <= most:
                raise ValueError(f"{name} is {value:g}, not 0 .. {most:g}")

    @classmethod
    def parse(cls, text: str) -> AttentionCurve:
        """From the metadata entry `ATTENTION_KEY` of any origin. Raises `ValueError`."""
        if len(text) > _MAX_TEXT:
            raise ValueError(f"has {len(text)} characters, at most {_MAX_TEXT} are allowed")
        return cls.from_json(parse_json(text.encode("utf-8", "surrogatepass")))

    @classmethod
    def from_json(cls, facts: Any) -> AttentionCurve:
        """From parsed JSON of any origin; the inverse of `to_json`. Raises `ValueError`."""
        if not isinstance(facts, dict):
            raise ValueError("is not a JSON object")
        gaze, saliency = (_points(name, facts.get(name)) for name in ("gaze", "saliency"))
        return cls(gaze, saliency, *(_number(name, facts.get(name)) for name in ("object", "floor", "beta")))

    def to_json(self) -> dict[str, Any]:
        return {
            "gaze": [list(point) for point in self.gaze],
            "saliency": [list(point) for point in self.saliency],
            "object": self.object,
            "floor": self.floor,
            "beta": self.beta,
        }

    def weight(self, gaze: NDArray[np.floating] | None, saliency: NDArray[np.floating]) -> NDArray[np.float64]:
        """``w`` of each block, above 0; ``gaze`` and ``saliency`` in 0..1, both of one shape."""
        looked_at = _interpolate(self.saliency, saliency) if gaze is None else self.density(gaze)
        return np.maximum(looked_at + self.object * np.asarray(saliency, np.float64), self.floor)

    def density(self, gaze: NDArray[np.floating]) -> NDArray[np.float64]:
        """Recorded gaze density where a gaze map has the values ``gaze``, as a multiple of the frame's mean; above 0."""
        return _interpolate(self.gaze, gaze)


def _points(name: str, raw: Any) -> Points:
    if not isinstance(raw, list) or not all(isinstance(point, list) and len(point) == 2 for point in raw):
        raise ValueError(f"{name} is not a list of pairs")
    return tuple((_number(name, x), _number(name, w)) for x, w in raw)


def _number(name: str, raw: Any) -> float:
    if type(raw) not in (int, float):
        raise ValueError(f"{name}: {str(raw)[:40]!r} is not a number")
    try:
        return float(raw)
    except OverflowError as error:
        raise ValueError(f"{name} has a number out of range") from error


def _interpolate(points: Points, values: NDArray[np.floating]) -> NDArray[np.float64]:
    x, w = np.log(np.array(points, np.float64)).T
    found: NDArray[np.float64] = np.exp(np.interp(np.log(np.maximum(np.asarray(values, np.float64), _LEAST)), x, w))
    return found
