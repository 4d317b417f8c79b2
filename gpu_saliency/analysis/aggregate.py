"""The aggregators: reduce the saliency maps of a segment to one map. They iterate over the maps once, so a generator suffices.

Maps are ``[h, w]`` in 0..1. ``motion`` holds for each map the mean absolute luma difference, 0..1, to the sample before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpu_saliency.choices import AggregatorName
from gpu_saliency.errors import UsageError, unknown_choice

DEFAULT_AGGREGATOR: AggregatorName = "mean"
DEFAULT_EMA_ALPHA = 0.6
MOTION_FLOOR = 1 / 255
"""Least weight of a map in ``motion-weighted``: one code value of mean luma change. A still clip then gets a plain mean."""

Maps = Iterable[NDArray[np.floating]]
Aggregator = Callable[[Maps, list[float], float], NDArray[np.floating]]
"""Called with the maps, their motion and the EMA weight; raises `ValueError` without maps."""


def _mean(maps: Maps, motion: list[float], ema_alpha: float) -> NDArray[np.floating]:  # noqa: ARG001 - one signature for all
    """Arithmetic mean of the maps, pixel by pixel."""
    return _weighted_mean(maps, itertools.repeat(1.0))


def _ema(maps: Maps, motion: list[float], ema_alpha: float) -> NDArray[np.floating]:  # noqa: ARG001
    """Exponential moving average of the maps.

    ``m = a * s + (1 - a) * m`` for each map ``s``, with the EMA weight ``a``; ``m`` begins as the first map.
    """
    reduced: NDArray[np.float64] | None = None
    for one in maps:
        s = one.astype(np.float64)
        reduced = s if reduced is None else ema_alpha * s + (1 - ema_alpha) * reduced
    return _checked(reduced)


def _max(maps: Maps, motion: list[float], ema_alpha: float) -> NDArray[np.floating]:  # noqa: ARG001
    """Maximum of the maps, pixel by pixel."""
    reduced: NDArray[np.floating] | None = None
    for one in maps:
        reduced = one if reduced is None else np.maximum(reduced, one)
    return _checked(reduced)


def _motion_weighted(maps: Maps, motion: list[float], ema_alpha: float) -> NDArray[np.floating]:  # noqa: ARG001
    """Mean of the maps, weighted by ``max(motion, MOTION_FLOOR)``.

    The first map takes the second's weight, because its predecessor is missing or lies in another segment. A fixed weight such as
    1.0 would dominate all others, since a mean luma change is mostly below 0.1.
    """
    weights = [max(one, MOTION_FLOOR) for one in motion]
    first = weights[1:2] or [1.0]
    return _weighted_mean(maps, first + weights[1:])


def _weighted_mean(maps: Maps, weights: Iterable[float]) -> NDArray[np.floating]:
    """Weighted mean, by a running float64 sum in the order of the maps; the CUDA kernel adds in the same order."""
    total: NDArray[np.float64] | None = None
    weight_sum = 0.0
    for one, weight in zip(maps, weights, strict=False):
        total = np.zeros(one.shape, np.float64) if total is None else total
        total += weight * one
        weight_sum += weight
    return _checked(total) / weight_sum


def _checked(reduced: NDArray[np.floating] | None) -> NDArray[np.floating]:
    if reduced is None:
        raise ValueError("no saliency map to reduce")
    return reduced


AGGREGATORS: dict[str, Aggregator] = {
    "mean": _mean,
    "ema": _ema,
    "max": _max,
    "motion-weighted": _motion_weighted,
}


def aggregate(name: str, maps: Maps, motion: ArrayLike, ema_alpha: float = DEFAULT_EMA_ALPHA) -> NDArray[np.float32]:
    """Reduce ``maps``, each with its ``motion``, to one map ``[h, w]``.

    ``ema_alpha`` in (0, 1] is the weight of the current map in ``ema``. Raises `UsageError`, or `ValueError` without maps.
    """
    check_aggregator(name, ema_alpha)
    # Python floats: a numpy float64 would turn the product with a float32 map into float64.
    reduced = AGGREGATORS[name](maps, np.asarray(motion, np.float64).tolist(), ema_alpha)
    return reduced.astype(np.float32)


def check_aggregator(name: str, ema_alpha: float) -> None:
    """Raise `UsageError` unless ``name`` is known and ``ema_alpha`` lies in (0, 1]."""
    if name not in AGGREGATORS:
        raise unknown_choice("aggregator", name, AGGREGATORS)
    if not 0 < ema_alpha <= 1:  # also refuses nan
        raise UsageError("out of range", setting="ema_alpha", value=ema_alpha, cure="give a number above 0, at most 1")
