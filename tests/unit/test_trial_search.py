"""The searches over measurements, on curves of which the answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from gpu_saliency.trial.search import MOST_CALLS, Found, Grid, search_falling, strongest

FINE, WHOLE = Grid(1, 51, 0.25), Grid(1, 63, 1)


def straight(x: float) -> float:
    return 130 - 1.3 * x


def saturating(x: float) -> float:
    """Near 100 up to about 20, then ever steeper, as VMAF is."""
    return 100 - 0.03 * max(0.0, x - 15) ** 2


def size(x: float) -> float:
    """The logarithm of a size that halves every 6 steps, faster at the coarse end."""
    return 16 - math.log(2) * x / 6 - 0.0004 * x**2


def search(
    curve: Callable[[float], float], target: float, grid: Grid = FINE, *, guess: float = 23, at_least: bool = False
) -> tuple[Found, int]:
    """The result, and the number of calls; each ``x`` is measured once and lies on the grid."""
    calls: list[float] = []
    step = grid.finest or grid.step

    def measure(x: float) -> float:
        assert x not in calls
        assert grid.low <= x <= grid.high
        assert x == pytest.approx(round(x / step) * step)
        calls.append(x)
        return curve(x)

    found = search_falling(measure, target, grid, guess=guess, slope=-1.3, tolerance=0.15, at_least=at_least)
    assert found.value == curve(found.x)
    return found, len(calls)


@pytest.mark.parametrize("target", [99, 95, 90, 84.3, 70])
@pytest.mark.parametrize("curve", [straight, saturating])
def test_a_smooth_curve_takes_few_calls(curve: Callable[[float], float], target: float) -> None:
    found, calls = search(curve, target)
    assert found.reached
    assert abs(found.value - target) <= 0.3  # a step of these curves is up to 0.6
    assert calls <= 6


def measured(values: dict[float, float]) -> Callable[[float], float]:
    """The curve of straight lines between measured ``values``, by ``x``."""
    return lambda x: float(np.interp(x, list(values), list(values.values())))


def test_a_bend_just_beyond_a_bound_is_found() -> None:
    """VMAF of grain by x264, as measured: it falls three times as fast from one measurement on."""
    vmaf = measured({26.75: 93.65, 30.75: 84.54, 31.75: 81.76, 32.25: 80.81, 33.0: 77.4, 33.5: 76.09, 34.5: 71.86, 36.75: 59.17})
    found, calls = search(vmaf, 80, guess=36.75)
    assert abs(found.value - 80) < 0.5
    assert calls < MOST_CALLS


@pytest.mark.parametrize(("finest", "x", "value"), [(None, 32.25, 80.81), (0.05, 32.4, 79.8)])
def test_a_steep_curve_is_searched_in_finer_steps(finest: float | None, x: float, value: float) -> None:
    """The quality falls by 1.68 between two neighbours, 0.81 above the target and 0.87 below it."""
    vmaf = measured({26.75: 93.65, 30.75: 84.54, 31.75: 81.76, 32.25: 80.81, 32.5: 79.13, 34.5: 71.86, 36.75: 59.17})
    found, calls = search(vmaf, 80, Grid(1, 51, 0.25, finest), guess=36.75)
    assert found.x == x
    assert found.value == pytest.approx(value, abs=0.01)
    assert calls <= MOST_CALLS


@pytest.mark.parametrize("target", [15.2, 13, 11.5])
def test_a_size_is_found_too(target: float) -> None:
    found = search_falling(size, target, Grid(1, 51, 0.1), guess=23, slope=-0.115, tolerance=0.01)
    assert found.reached
    assert abs(found.value - target) <= 0.02


@pytest.mark.parametrize("target", [95, 90, 80.4])
def test_whole_steps_end_at_the_nearest(target: float) -> None:
    found, calls = search(straight, target, WHOLE)
    assert abs(found.value - target) == min(abs(straight(x) - target) for x in range(1, 64))
    assert calls <= 5


@pytest.mark.parametrize("grid", [FINE, WHOLE])
@pytest.mark.parametrize("target", [95, 90, 80.4])
def test_at_least_is_never_below(grid: Grid, target: float) -> None:
    found, _ = search(straight, target, grid, at_least=True)
    assert found.reached
    assert target <= found.value <= target + max(0.3, 1.3 * grid.step)


def test_a_target_out_of_reach_ends_at_the_end_of_the_grid() -> None:
    found, calls = search(lambda x: 90 - x, 95)
    assert (found.x, found.reached) == (1, False)
    assert calls <= MOST_CALLS
    found, _ = search(lambda x: 99 - x / 100, 50)
    assert (found.x, found.reached) == (51, False)


def test_a_plateau_does_not_stop_the_search() -> None:
    """Encoders may give one file for a range of qualities."""

    def stairs(x: float) -> float:
        return straight(4 * math.floor(x / 4))

    found, calls = search(stairs, 90)
    assert found.reached
    assert abs(found.value - 90) <= 2.6  # half of a stair of 5.2
    assert calls <= MOST_CALLS


def test_a_curve_that_is_all_plateau_ends() -> None:
    found, calls = search(lambda _x: 97.0, 90)
    assert (found.x, found.reached) == (51, False)
    assert calls <= MOST_CALLS


@pytest.mark.parametrize("seed", range(20))
def test_noise_costs_no_more_than_its_size(seed: int) -> None:
    """Noise of up to 0.4, by which neighbours may come in the wrong order."""
    noise = np.random.default_rng(seed).uniform(-0.4, 0.4, 10_000)

    def noisy(x: float) -> float:
        return straight(x) + float(noise[round(x * 4)])

    found, calls = search(noisy, 90)
    assert abs(straight(found.x) - 90) <= 0.4 + 0.3 + 0.4
    assert calls <= MOST_CALLS


OFFSETS = Grid(0, 6, 0.5)


def parabola(top: float, zero: float) -> Callable[[float], float]:
    """A gain that rises to ``top`` and is 0 again at ``zero``."""
    return lambda x: top * 4 * x * (zero - x) / zero**2


@pytest.mark.parametrize(("zero", "wanted"), [(2.2, 2), (3.7, 3.5), (4.9, 4.5), (50, 6)])
def test_the_strongest_without_loss(zero: float, wanted: float) -> None:
    calls: list[float] = []

    def gain(x: float) -> float:
        calls.append(x)
        return parabola(0.5, zero)(x)

    assert strongest(gain, OFFSETS, start=3, most_calls=6) == pytest.approx(wanted, abs=0.5)
    assert len(calls) == len(set(calls)) <= 6
    assert all(gain(x) >= 0 for x in [strongest(gain, OFFSETS, start=3)])


def test_a_loss_may_be_allowed() -> None:
    gain = parabola(0.5, 3)
    found = strongest(gain, OFFSETS, start=3, least=-0.5)
    assert found > strongest(gain, OFFSETS, start=3)
    assert gain(found) >= -0.5


def test_nothing_is_strong_enough_to_be_allowed() -> None:
    assert strongest(lambda x: -x, OFFSETS, start=3) == 0
