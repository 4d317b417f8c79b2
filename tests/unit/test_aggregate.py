"""The four temporal reducers, against their formulas written out."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_saliency.analysis.aggregate import AGGREGATORS, MOTION_FLOOR, make_aggregator
from gpu_saliency.errors import UsageError

RNG = np.random.default_rng(3)
MAPS = RNG.random((9, 4, 6)).astype(np.float32)
MOTION = [0.0, *RNG.uniform(0.02, 0.2, 8)]


def reduce(name: str, maps: np.ndarray = MAPS, motion: list[float] = MOTION, alpha: float = 0.6) -> np.ndarray:
    reducer = make_aggregator(name, alpha)
    for saliency_map, m in zip(maps, motion, strict=True):
        reducer.add(saliency_map, m)
    return reducer.result()


def test_mean() -> None:
    np.testing.assert_allclose(reduce("mean"), MAPS.mean(axis=0), atol=1e-6)


def test_max() -> None:
    np.testing.assert_array_equal(reduce("max"), MAPS.max(axis=0))


@pytest.mark.parametrize("alpha", [0.1, 0.6, 1.0])
def test_ema(alpha: float) -> None:
    """The closed form: the first map keeps (1 - a)^(n-1), map i gets a (1 - a)^(n-1-i)."""
    n = len(MAPS)
    weights = np.array([(1 - alpha) ** (n - 1)] + [alpha * (1 - alpha) ** (n - 1 - i) for i in range(1, n)])
    np.testing.assert_allclose(reduce("ema", alpha=alpha), np.tensordot(weights, MAPS, 1), atol=1e-6)


def test_motion_weighted_gives_the_first_frame_the_seconds_weight() -> None:
    weights = np.array([MOTION[1], *MOTION[1:]])
    expected = np.tensordot(weights / weights.sum(), MAPS, 1)
    np.testing.assert_allclose(reduce("motion-weighted"), expected, atol=1e-6)


def test_motion_weighted_on_a_still_clip_is_the_mean() -> None:
    np.testing.assert_allclose(reduce("motion-weighted", motion=[0.0] * 9), MAPS.mean(axis=0), atol=1e-6)


def test_motion_weighted_floor() -> None:
    """One moving frame of 10 % among still ones has 0.1 / (0.1 + 8 floors) of the weight."""
    motion = [0.0] * 4 + [0.1] + [0.0] * 4
    weights = np.array([MOTION_FLOOR] * 4 + [0.1] + [MOTION_FLOOR] * 4)
    expected = np.tensordot(weights / weights.sum(), MAPS, 1)
    np.testing.assert_allclose(reduce("motion-weighted", motion=motion), expected, atol=1e-6)


@pytest.mark.parametrize("name", AGGREGATORS)
def test_one_map_is_its_own_summary(name: str) -> None:
    np.testing.assert_allclose(reduce(name, MAPS[:1], [0.0]), MAPS[0], atol=1e-7)


@pytest.mark.parametrize("name", AGGREGATORS)
def test_maps_are_not_kept_by_reference(name: str) -> None:
    """Decoders and runtimes reuse buffers."""
    buffer = MAPS[0].copy()
    reducer = make_aggregator(name)
    reducer.add(buffer, 0.0)
    buffer[:] = 0
    np.testing.assert_allclose(reducer.result(), MAPS[0], atol=1e-7)


@pytest.mark.parametrize("name", AGGREGATORS)
def test_nothing_added(name: str) -> None:
    with pytest.raises(ValueError, match="no saliency map"):
        make_aggregator(name).result()


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.01, float("nan")])
def test_alpha_out_of_range(alpha: float) -> None:
    with pytest.raises(UsageError, match="--saliency-ema-alpha"):
        make_aggregator("ema", alpha)


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match="motion-weighted"):
        make_aggregator("median")
