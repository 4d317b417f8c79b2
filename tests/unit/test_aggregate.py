"""The four aggregators against their formulas, written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from gpu_saliency.analysis.aggregate import AGGREGATORS, MOTION_FLOOR, Maps, aggregate
from gpu_saliency.errors import UsageError

RNG = np.random.default_rng(3)
MAPS = RNG.random((9, 4, 6)).astype(np.float32)
MOTION = [0.0, *RNG.uniform(0.02, 0.2, 8)]


def reduce(name: str, maps: Maps = MAPS, motion: ArrayLike = MOTION, alpha: float = 0.6) -> np.ndarray:
    return aggregate(name, maps, motion, alpha)


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
def test_the_result_shares_no_memory_with_the_maps(name: str) -> None:
    """Decoders and runtimes reuse buffers."""
    buffer = MAPS[:1].copy()
    reduced = reduce(name, buffer, [0.0])
    buffer[:] = 0
    np.testing.assert_allclose(reduced, MAPS[0], atol=1e-7)


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_maps_may_come_one_by_one(name: str, count: int) -> None:
    """A generator gives the very bits that an array gives."""
    np.testing.assert_array_equal(
        reduce(name, (one for one in MAPS[:count]), MOTION[:count]), reduce(name, MAPS[:count], MOTION[:count])
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 7)])
def test_sums_run_from_map_to_map(shape: tuple[int, int]) -> None:
    """In float64, each map times its weight in float32: the order and the widths of the CUDA kernel. Bit for bit."""
    maps = RNG.random((300, *shape)).astype(np.float32)
    motion = RNG.uniform(0, 0.1, 300).astype(np.float32)
    for name, weights in (("mean", np.ones(300)), ("motion-weighted", np.maximum(motion[[1, *range(1, 300)]], MOTION_FLOOR))):
        total, weight_sum = np.zeros(shape), 0.0
        for one, weight in zip(maps, weights, strict=True):
            total += (np.float32(weight) * one).astype(np.float64)
            weight_sum += max(float(weight), 1.0 if name == "mean" else MOTION_FLOOR)
        np.testing.assert_array_equal(reduce(name, maps, motion), (total / weight_sum).astype(np.float32))


@pytest.mark.parametrize("name", AGGREGATORS)
def test_no_maps_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="no saliency map"):
        aggregate(name, [], [])


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.01, float("nan")])
def test_alpha_out_of_range(alpha: float) -> None:
    with pytest.raises(UsageError, match="ema_alpha="):
        aggregate("ema", MAPS, MOTION, alpha)


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match="motion-weighted"):
        aggregate("median", MAPS, MOTION)
