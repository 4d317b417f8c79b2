"""Draws plots of lines with markers as SVG text, which is the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

# Colours that people with common kinds of colour blindness can distinguish: Okabe and Ito, "Color Universal Design", 2008.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 56
_SIZE = 14
_INK, _GRID = "#282828", "#e1e1e1"
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot."""

    name: str
    points: Sequence[Point]
    labels: Sequence[str] = ()
    """Text beside each point: at its upper right, or with ``left`` at its lower left."""
    left: bool = False
    dashed: bool = False
    colour: int = 0
    """Index into `COLOURS`."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A panel of lines."""

    title: str
    x: str
    """Name of the horizontal axis, with its unit."""
    y: str
    lines: Sequence[Line]
    log_x: bool = False
    legend_top: bool = True
    """Whether the legend is rather at the upper right than at the lower right; it moves where it would hide lines."""


def draw(plots: Sequence[Plot], columns: int = 1, width: int = 720, height: int = 460) -> str:
    """The SVG of ``plots`` side by side in ``columns``, each ``width`` x ``height`` pixels."""
    rows = math.ceil(len(plots) / columns)
    size = f'width="{columns * width}" height="{rows * height}" viewBox="0 0 {columns * width} {rows * height}"'
    found = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="{_SIZE}" fill="{_INK}">']
    found.append(f'<rect width="{columns * width}" height="{rows * height}" fill="#ffffff"/>')
    for number, plot in enumerate(plots):
        row, column = divmod(number, columns)
        found += [f'<g transform="translate({column * width} {row * height})">', *_panel(plot, width, height), "</g>"]
    return "\n".join([*found, "</svg>", ""])


def _panel(plot: Plot, width: int, height: int) -> list[str]:
    points = [point for line in plot.lines for point in line.points]
    low_x, high_x = _range([x for x, _ in points], log=plot.log_x)
    low_y, high_y = _range([y for _, y in points], log=False)
    inner_width, inner_height = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM

    def at_x(x: float) -> float:
        part = math.log(x / low_x) / math.log(high_x / low_x) if plot.log_x else (x - low_x) / (high_x - low_x)
        return _LEFT + part * inner_width

    def at_y(y: float) -> float:
        return _TOP + (high_y - y) / (high_y - low_y) * inner_height

    found = [_text(width / 2, 22, plot.title, "middle", "bold")]
    for x in _log_ticks(low_x, high_x) if plot.log_x else _ticks(low_x, high_x):
        found.append(f'<path d="M{at_x(x):.1f} {_TOP}V{height - _BOTTOM}" stroke="{_GRID}"/>')
        found.append(_text(at_x(x), height - _BOTTOM + 20, f"{x:g}", "middle"))
    for y in _ticks(low_y, high_y):
        found.append(f'<path d="M{_LEFT} {at_y(y):.1f}H{width - _RIGHT}" stroke="{_GRID}"/>')
        found.append(_text(_LEFT - 8, at_y(y) + 5, f"{y:g}", "end"))
    found.append(_text(_LEFT + inner_width / 2, height - 12, plot.x, "middle"))
    middle = _TOP + inner_height / 2
    found.append(
        f'<text x="18" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 18 {middle:.1f})">{escape(plot.y)}</text>'
    )
    places = [[(at_x(x), at_y(y)) for x, y in line.points] for line in plot.lines]
    for line, own in zip(plot.lines, places, strict=True):
        found += _line(line, own)
    return found + _legend(plot.lines, *_free_place(plot, places, (width, height)))


def _free_place(plot: Plot, places: Sequence[Sequence[Point]], size: tuple[int, int]) -> Point:
    """Right end and top of the legend: where it hides least of the lines, and of such places the nearest to its usual one."""
    box_width, box_height = _legend_size(plot.lines)
    right, top, bottom = size[0] - _RIGHT - 10, _TOP + 10, size[1] - _BOTTOM - 10 - box_height
    usual = top if plot.legend_top else bottom
    shown = [point for line in places for point in _along(line)]
    candidates = [(x, y) for x in _between(_LEFT + 10 + box_width, right) for y in _between(top, bottom)]

    def hidden(place: Point) -> tuple[int, float]:
        x, y = place
        inside = sum(x - box_width - 6 <= a <= x + 6 and y - 6 <= b <= y + box_height + 6 for a, b in shown)
        return inside, right - x + abs(usual - y)

    return min(candidates, key=hidden)


def _between(low: float, high: float) -> list[float]:
    return [low + (high - low) * step / 8 for step in range(9)]


def _along(line: Sequence[Point]) -> list[Point]:
    """Points of ``line``, at most 5 pixels from each other."""
    found = list(line[-1:])
    for (x, y), (end_x, end_y) in pairwise(line):
        count = math.ceil(math.hypot(end_x - x, end_y - y) / 5) or 1
        found += [(x + (end_x - x) * step / count, y + (end_y - y) * step / count) for step in range(count)]
    return found


def _line(line: Line, places: list[Point]) -> list[str]:
    colour = COLOURS[line.colour]
    dash = ' stroke-dasharray="6 4"' if line.dashed else ""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    found = [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>']
    found += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
    for (x, y), label in zip(places, line.labels, strict=False):
        place = f'x="{x - 8:.1f}" y="{y + 15:.1f}" text-anchor="end"' if line.left else f'x="{x + 7:.1f}" y="{y - 6:.1f}"'
        found.append(f'<text {place} fill="{colour}" font-size="{_SIZE - 2}">{escape(label)}</text>')
    return found


def _legend_size(lines: Sequence[Line]) -> Point:
    return 50 + max(len(line.name) for line in lines) * _SIZE * 0.56, 20 * len(lines) + 8


def _legend(lines: Sequence[Line], right: float, top: float) -> list[str]:
    """The names of the lines on white."""
    width, height = _legend_size(lines)
    box = f'x="{right - width:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}"'
    found = [f'<rect {box} fill="#ffffff" stroke="{_GRID}"/>']
    for number, line in enumerate(lines):
        y = top + 16 + 20 * number
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        start = right - width + 8
        found.append(f'<path d="M{start:.1f} {y:.1f}h24" stroke="{COLOURS[line.colour]}" stroke-width="2"{dash}/>')
        found.append(_text(start + 32, y + 5, line.name, "start"))
    return found


def _text(x: float, y: float, text: str, anchor: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _range(values: Sequence[float], *, log: bool) -> Point:
    """The least and the largest value with a margin of 6 %; never empty."""
    low, high = min(values), max(values)
    if log:
        margin = (high / low) ** 0.06 if high > low else 2
        return low / margin, high * margin
    margin = 0.06 * (high - low) or 1
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Five to eleven round numbers from ``low`` to ``high``."""
    step = 10 ** math.floor(math.log10((high - low) / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 10)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from ``low`` to ``high``."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [value for power in powers for factor in (1, 2, 5) if low <= (value := factor * 10.0**power) <= high]
