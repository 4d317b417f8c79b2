"""Many saliency maps to one, as a stream: each reducer keeps a map or two, whatever the length of the clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import UsageError

DEFAULT_AGGREGATOR = "mean"
DEFAULT_EMA_ALPHA = 0.6
MOTION_FLOOR = 1 / 255
"""Least weight of a frame in ``motion-weighted``: one code value of mean luma change. A still clip is then a plain mean."""

Map = NDArray[np.float64]


class Aggregator(Protocol):
    """A temporal reducer. Maps are ``[h, w]`` in 0..1; ``motion`` is the mean absolute luma difference, 0..1, to the previous
    sampled frame (0 for the first)."""

    def add(self, saliency_map: NDArray[np.floating], motion: float) -> None: ...

    def result(self) -> NDArray[np.float32]:
        """The reduced map ``[h, w]``. Raises `ValueError` if nothing was added."""
        ...


class _Mean:
    """Per-pixel arithmetic mean."""

    def __init__(self) -> None:
        self._sum: Map | None = None
        self._weight = 0.0

    def add(self, saliency_map: NDArray[np.floating], motion: float) -> None:  # noqa: ARG002 - one signature for all
        self._add_weighted(saliency_map, 1.0)

    def _add_weighted(self, saliency_map: NDArray[np.floating], weight: float) -> None:
        if self._sum is None:
            self._sum = np.zeros(saliency_map.shape, np.float64)
        self._sum += weight * saliency_map
        self._weight += weight

    def result(self) -> NDArray[np.float32]:
        return _checked(None if self._sum is None else self._sum / self._weight)


class _Ema:
    """``m = a * s + (1 - a) * m``, the first map as it is."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self._map: Map | None = None

    def add(self, saliency_map: NDArray[np.floating], motion: float) -> None:  # noqa: ARG002
        s = saliency_map.astype(np.float64)
        self._map = s if self._map is None else self._alpha * s + (1 - self._alpha) * self._map

    def result(self) -> NDArray[np.float32]:
        return _checked(self._map)


class _Max:
    """Per-pixel maximum."""

    def __init__(self) -> None:
        self._map: Map | None = None

    def add(self, saliency_map: NDArray[np.floating], motion: float) -> None:  # noqa: ARG002
        s = saliency_map.astype(np.float64)
        self._map = s if self._map is None else np.maximum(self._map, s)

    def result(self) -> NDArray[np.float32]:
        return _checked(self._map)


class _MotionWeighted(_Mean):
    """Mean weighted by ``max(motion, MOTION_FLOOR)``.

    The first frame has no predecessor and takes the second's weight; a fixed weight such as 1.0 would drown all others, since
    a mean luma change is mostly below 0.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first: NDArray[np.floating] | None = None
        self._count = 0

    def add(self, saliency_map: NDArray[np.floating], motion: float) -> None:
        self._count += 1
        if self._count == 1:
            self._first = saliency_map.copy()
            return
        weight = max(motion, MOTION_FLOOR)
        if self._first is not None:
            self._add_weighted(self._first, weight)
            self._first = None
        self._add_weighted(saliency_map, weight)

    def result(self) -> NDArray[np.float32]:
        return _checked(self._first) if self._first is not None else super().result()


def _checked(result: NDArray[np.floating] | None) -> NDArray[np.float32]:
    if result is None:
        raise ValueError("no saliency map was added")
    return result.astype(np.float32)


AGGREGATORS: dict[str, Callable[[float], Aggregator]] = {
    "mean": lambda _alpha: _Mean(),
    "ema": _Ema,
    "max": lambda _alpha: _Max(),
    "motion-weighted": lambda _alpha: _MotionWeighted(),
}


def make_aggregator(name: str, ema_alpha: float = DEFAULT_EMA_ALPHA) -> Aggregator:
    """A fresh reducer. ``ema_alpha`` in (0, 1] is the weight of the current frame in ``ema``. Raises `UsageError`."""
    check_aggregator(name, ema_alpha)
    return AGGREGATORS[name](ema_alpha)


def check_aggregator(name: str, ema_alpha: float) -> None:
    """Raise `UsageError` unless ``name`` is known and ``ema_alpha`` lies in (0, 1]."""
    if name not in AGGREGATORS:
        raise UsageError(f"--saliency-aggregator {name}: unknown", cure="one of " + ", ".join(AGGREGATORS))
    if not 0 < ema_alpha <= 1:  # also refuses nan
        raise UsageError(f"--saliency-ema-alpha {ema_alpha:g}: out of range", cure="more than 0, at most 1")
