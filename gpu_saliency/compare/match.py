"""Finds the rate at which an encode with the plan is as large as a plain one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu_saliency.compare.ladder import Ladder
from gpu_saliency.compare.point import Point
from gpu_saliency.encode.encoders.spec import Quality

CLOSE = 0.005
"""Difference of the sizes at which the search ends."""
TRIES = 3
"""Encodes of a search."""


@dataclass(frozen=True, slots=True)
class Match:
    """A plain encode and the ROI encode nearest to its size."""

    plain: Point
    roi: Point
    tries: int
    """Encodes of the search, beside those of the ladder."""

    @property
    def size_percent(self) -> float:
        """How much larger the ROI encode is."""
        return 100 * (self.roi.video_bytes / self.plain.video_bytes - 1)


def match_size(
    plain: Point, known: Sequence[Point], ladder: Ladder, quality: Quality | None, encode: Callable[[float], Point]
) -> Match:
    """Search the ROI encode as large as ``plain``; ``known`` are those of the ladder, and ``encode`` makes further ones.

    The logarithm of the size is interpolated linearly over the rate's coordinate between the two nearest known sizes. The result is
    encoded, up to `TRIES` times or until the sizes differ by less than `CLOSE`.
    """
    points = list(known)
    tries = 0
    while tries < TRIES and _distance(nearest(points, plain), plain) > CLOSE:
        value = ladder.value_at(_interpolate(points, plain, ladder), quality)
        if value in [point.value for point in points]:
            break
        points.append(encode(value))
        tries += 1
    return Match(plain, nearest(points, plain), tries)


def nearest(points: Sequence[Point], plain: Point) -> Point:
    """The point nearest to the size of ``plain``."""
    return min(points, key=lambda point: _distance(point, plain))


def _distance(point: Point, plain: Point) -> float:
    return abs(math.log(point.video_bytes / plain.video_bytes))


def _interpolate(points: Sequence[Point], plain: Point, ladder: Ladder) -> float:
    """The coordinate at which the size is that of ``plain``, by a line through the nearest points around it."""
    target = math.log(plain.video_bytes)
    sizes = sorted((math.log(point.video_bytes), ladder.coordinate(point.value)) for point in points)
    below = [one for one in sizes if one[0] <= target][-2:]
    above = [one for one in sizes if one[0] > target][:2]
    (x0, y0), (x1, y1) = (below[-1], above[0]) if below and above else (below or above)
    return y0 if x0 == x1 else y0 + (y1 - y0) * (target - x0) / (x1 - x0)
