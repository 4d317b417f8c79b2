"""Interpolation, BD-rates and the search for equal size, against scipy, the package bjontegaard, and arithmetic by hand."""

from __future__ import annotations

import math
from pathlib import Path

import bjontegaard
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from gpu_saliency.compare.bd import Delta, bd_quality, bd_rate, compare_curves
from gpu_saliency.compare.ladder import Ladder
from gpu_saliency.compare.match import CLOSE, TRIES, match_size
from gpu_saliency.compare.pchip import interpolate
from gpu_saliency.compare.point import Point
from gpu_saliency.encode.encoders.spec import Quality

Curve = list[tuple[float, float]]


def random_curve(rng: np.random.Generator, points: int, shift: float = 0) -> Curve:
    """Rates and qualities that rise in uneven steps."""
    rates = np.exp(np.cumsum(rng.uniform(0.2, 1.2, points)) + 12 + shift)
    qualities = 30 + np.cumsum(rng.uniform(0.3, 5, points))
    return list(zip(rates.tolist(), qualities.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_the_interpolation_is_that_of_scipy(seed: int) -> None:
    """Values and integrals, also where the data turns round."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.1, 3, 2 + seed % 6))
    y = rng.normal(size=len(x)) if seed % 2 else np.cumsum(rng.uniform(0, 2, len(x)))
    ours, theirs = interpolate(x, y), PchipInterpolator(x, y)
    at = np.linspace(x[0], x[-1], 101)
    np.testing.assert_allclose(ours(at), theirs(at), rtol=1e-12, atol=1e-12)
    low, high = sorted(rng.uniform(x[0], x[-1], 2))
    assert ours.integral(low, high) == pytest.approx(float(theirs.integrate(low, high)), rel=1e-10, abs=1e-12)


def test_points_out_of_order_are_refused() -> None:
    for x in ([1, 1, 2], [2, 1, 3], [1]):
        with pytest.raises(ValueError, match="rising order"):
            interpolate(x, range(len(x)))


@pytest.mark.parametrize("seed", range(20))
def test_the_deltas_are_those_of_bjontegaard(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    plain, other = random_curve(rng, 4 + seed % 3), random_curve(rng, 4 + seed % 3, rng.uniform(-0.4, 0.4))
    both = [np.array(values) for curve in (plain, other) for values in zip(*curve, strict=True)]
    options = {"method": "pchip", "min_overlap": 0}
    assert bd_rate(plain, other) == pytest.approx(bjontegaard.bd_rate(*both, **options), rel=1e-9)
    assert bd_quality(plain, other) == pytest.approx(bjontegaard.bd_psnr(*both, **options), rel=1e-9)


def test_half_the_bits_everywhere() -> None:
    plain = [(1e6 * 2**i, 30.0 + 3 * i) for i in range(4)]
    delta = compare_curves(plain, [(rate / 2, quality) for rate, quality in plain])
    assert delta.rate_percent == pytest.approx(-50)
    assert delta.quality == pytest.approx(3)
    assert delta.overlap == 1
    assert delta.reason is None


PLAIN: Curve = [(1.0, 30.0), (2.0, 33.0), (4.0, 36.0), (8.0, 39.0)]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (PLAIN[:3], "4 rates are needed, 3 are given"),
        ([(rate, quality + 20) for rate, quality in PLAIN], "the curves share no quality"),
        ([(rate, quality + 7) for rate, quality in PLAIN], "the curves share 12 % of their range of quality"),
        ([(1.0, 30.0), (2.0, 29.0), (4.0, 36.0), (8.0, 39.0)], "the quality of the ROI encodes does not rise"),
        ([(1.0, 30.0), (2.0, 33.0), (4.0, 36.0), (8.0, math.inf)], "a point has no finite value"),
    ],
)
def test_the_reason_where_there_is_no_delta(other: Curve, reason: str) -> None:
    delta = compare_curves(PLAIN, other)
    assert (delta.rate_percent, delta.quality) == (None, None)
    assert delta.reason is not None
    assert delta.reason.startswith(reason)


def test_the_delta_of_equal_curves_is_zero() -> None:
    assert compare_curves(PLAIN, PLAIN) == Delta(0, 0, 1)


def point(value: float, size: float, kind: str = "roi") -> Point:
    return Point(
        kind=kind,
        value=value,
        label=f"CRF {value:g}",
        crf_used=value,
        path=Path(f"{value:g}"),
        video_bytes=round(size),
        bits_per_second=size,
        seconds=0,
        parts=1,
        commands=(),
        reused=False,
    )


def size_of(crf: float) -> float:
    """A curve that bends, as encoders' sizes do."""
    return 1e7 * math.exp(-0.13 * (crf - 20) + 0.0009 * (crf - 20) ** 2)


@pytest.mark.parametrize("crf", [21.3, 27, 33.4, 39])
def test_equal_size_is_found(crf: float) -> None:
    """Also a little outside of the ladder; a value that the encoder cannot take is not tried twice."""
    ladder = Ladder("crf_ladder", (20, 26, 32, 38))
    known = [point(value, size_of(value)) for value in ladder.values]
    plain = point(crf, size_of(crf), "plain")
    scale = Quality("-crf", 0, 51, 23)
    match = match_size(plain, known, ladder, scale, lambda value: point(value, size_of(value)))
    assert abs(match.size_percent) < 100 * CLOSE
    assert match.tries <= TRIES
    whole = Quality("-crf", 0, 51, 23, whole=True)
    match = match_size(plain, known, ladder, whole, lambda value: point(value, size_of(value)))
    assert abs(match.roi.value - crf) <= 0.51


def test_no_encode_where_the_ladder_has_the_size() -> None:
    ladder = Ladder("bitrates", (1e6, 2e6))
    known = [point(value, value) for value in ladder.values]

    def encode(_value: float) -> Point:
        raise AssertionError("a further encode")

    match = match_size(point(1e6, 1.002e6), known, ladder, None, encode)
    assert match.roi.value == 1e6
    assert match.tries == 0
