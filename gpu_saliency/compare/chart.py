"""Rate-quality curves as SVG."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from gpu_saliency.compare.names import digits_of, is_circular, title_of, unit_of
from gpu_saliency.compare.pchip import interpolate

WIDTH, HEIGHT = 380, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 14, 40
_STEPS = (1, 2, 2.5, 5, 10)
Marked = tuple[float, float, str]
"""A point (bits per second, quality, label)."""


def draw_chart(name: str, plain: Sequence[Marked], roi: Sequence[Marked]) -> str:
    """The chart of one metric: a monotone cubic through each curve's points over the rate's logarithm. Empty without points."""
    curves = [("plain", _finite(plain)), ("roi", _finite(roi))]
    points = [point for _, curve in curves for point in curve]
    if not points:
        return ""
    rates, values = [math.log(rate) for rate, _, _ in points], [value for _, value, _ in points]
    x = _axis(min(rates), max(rates), _LEFT, WIDTH - _RIGHT, 0.04)
    y = _axis(min(values), max(values), HEIGHT - _BOTTOM, _TOP, 0.06)
    parts = [*_grid(name, x, y)]
    for kind, curve in curves:
        parts += _curve(name, kind, curve, x, y)
    title = title_of(name)
    note = '<p class="circular">Circular: the weights are the plan\'s own map.</p>' if is_circular(name) else ""
    unit = f" ({unit_of(name)})" if unit_of(name) else ""
    return (
        f"<figure class=chart><figcaption>{escape(title)}{unit}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)} over the rate">{"".join(parts)}</svg>{note}</figure>'
    )


class _axis:  # noqa: N801 - used as a function from values to places
    """A linear scale from values to pixels, with some room at both ends."""

    def __init__(self, low: float, high: float, start: float, end: float, room: float) -> None:
        spare = room * (high - low) or abs(high) * 0.01 or 0.5
        self.low, self.high = low - spare, high + spare
        self._start, self._scale = start, (end - start) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        return round(self._start + (value - self.low) * self._scale, 1)


def _finite(curve: Sequence[Marked]) -> list[Marked]:
    return sorted(point for point in curve if math.isfinite(point[1]))


def _grid(name: str, x: _axis, y: _axis) -> Iterator[str]:
    """Lines and numbers of both axes."""
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for value in _ticks(y.low, y.high, 5):
        at = y(value)
        yield f'<line class=grid x1={_LEFT} x2={right} y1="{at}" y2="{at}"/>'
        yield (
            f'<text class=y x={_LEFT - 6} y="{at + 4}">{value:.{digits_of(name)}g}</text>'
            if abs(value) < 1
            else (f'<text class=y x={_LEFT - 6} y="{at + 4}">{value:g}</text>')
        )
    for rate in _rates(math.exp(x.low), math.exp(x.high)):
        at = x(math.log(rate))
        yield f'<line class=grid x1="{at}" x2="{at}" y1={_TOP} y2={bottom} />'
        yield f'<text class=x x="{at}" y="{bottom + 16}">{_short(rate)}</text>'
    yield f'<text class=x x="{(_LEFT + right) / 2:g}" y="{HEIGHT - 5}">bit/s, logarithmic</text>'
    yield f'<path class=frame d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'


def _curve(name: str, kind: str, curve: list[Marked], x: _axis, y: _axis) -> Iterator[str]:
    """The line and the marks of one curve."""
    if len(curve) > 1 and all(a[0] < b[0] for a, b in itertools.pairwise(curve)):
        fitted = interpolate([math.log(rate) for rate, _, _ in curve], [value for _, value, _ in curve])
        at = np.linspace(fitted.x[0], fitted.x[-1], 48)
        line = " ".join(f"{x(a)},{y(b)}" for a, b in zip(at.tolist(), fitted(at).tolist(), strict=True))
        yield f'<polyline class="line {kind}" points="{line}"/>'
    for rate, value, label in curve:
        place, level = x(math.log(rate)), y(value)
        text = f"{'Plain' if kind == 'plain' else 'ROI'}, {label}: {_short(rate)}bit/s, {value:.{digits_of(name)}f} {unit_of(name)}"
        shape = (
            f'<rect x="{place - 4:.1f}" y="{level - 4:.1f}" width=8 height=8 />'
            if kind == "plain"
            else f'<circle cx="{place}" cy="{level}" r=4.6 />'
        )
        yield f'<g class="mark {kind}"><title>{escape(text.strip())}</title>{shape}</g>'


def _ticks(low: float, high: float, count: int) -> Iterator[float]:
    """Round numbers from ``low`` to ``high``, about ``count``."""
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(one * power for one in _STEPS if one * power >= raw * 0.999)
    first = math.ceil(low / step)
    while first * step <= high:
        yield round(first * step, 10)
        first += 1


def _rates(low: float, high: float) -> Iterator[float]:
    """Rates 1, 2 and 5 times powers of ten, or more of them where the range is small."""
    power = math.floor(math.log10(low))
    dense = (1, 2, 5) if high / low > 4 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8)
    while 10**power <= high:
        yield from (one * 10**power for one in dense if low <= one * 10**power <= high)
        power += 1


def _short(rate: float) -> str:
    """``1.5M`` or ``800k``."""
    return f"{rate / 1e6:.3g}M" if rate >= 999_500 else f"{rate / 1e3:.3g}k"
