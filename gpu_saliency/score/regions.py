"""Scores of regions: inside and outside of masks, and weighted by maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from gpu_saliency.progress import Advance
from gpu_saliency.score.maps import ScoreMaps, inside
from gpu_saliency.score.metric import Metric
from gpu_saliency.score.pair import Pair
from gpu_saliency.score.result import ScoreRegion
from gpu_saliency.score.weighted import WeightedSums, Weights, weigh

CIRCULAR = "plan"
"""The name of the region whose weights are the plan's own map."""


def measure_regions(
    pair: Pair,
    masks: ScoreMaps | None,
    maps: Mapping[str, ScoreMaps],
    frames: int,
    vmaf: dict[str, Metric],
    *,
    limited: bool,
    advance: Advance,
) -> tuple[ScoreRegion, ...]:
    """Score all regions of ``pair`` over ``frames`` frames; ``vmaf`` was measured with the pixels outside of ``masks`` replaced.

    Raises `MapsError` unless there is a mask or map for each frame; with ``limited`` there may be more of them.
    """
    for own in filter(None, (masks, *maps.values())):
        if own.count is not None:
            own.check_count(own.count, frames, limited=limited)
    sums = weigh(pair, _weightings(pair, masks, maps, frames, limited=limited), frames, advance)
    kinds = {name: own.kind for name, own in maps.items()}
    return tuple(_region(name, own, pair, vmaf if name == "inside" else {}, kinds.get(name)) for name, own in sums.items())


def _weightings(
    pair: Pair, masks: ScoreMaps | None, maps: Mapping[str, ScoreMaps], frames: int, *, limited: bool
) -> Iterator[dict[str, Weights]]:
    """The weights of each frame: 1 everywhere, inside and outside of the masks, and each map with the mean 1."""
    clip = pair.reference
    whole = np.ones((clip.height, clip.width), np.float32)
    streams = {name: _exactly(own, pair, frames, limited=limited) for name, own in maps.items()}
    regions = None if masks is None else inside(_exactly(masks, pair, frames, limited=limited))
    for _ in range(frames):
        weights = {"whole": whole}
        if regions is not None:
            weights["inside"] = next(regions).astype(np.float32)
            weights["outside"] = 1 - weights["inside"]
        for name, stream in streams.items():
            one = next(stream)
            mean = one.mean(dtype=np.float64)
            weights[name] = one / np.float32(mean) if mean > 0 else one
        yield weights
    for stream in (*streams.values(), *(() if regions is None else (regions,))):
        next(stream, None)


def _exactly(maps: ScoreMaps, pair: Pair, frames: int, *, limited: bool) -> Iterator[Weights]:
    """``frames`` maps; raises `MapsError` where there are fewer, or where a further one is asked for and there are more."""
    stream = maps.frames(pair.reference)
    count = 0
    for one in islice(stream, frames):
        count += 1
        yield one
    if count == frames and not maps.endless and not limited:
        count += sum(1 for _ in stream)
    maps.check_count(count, frames, limited=limited)


def _region(name: str, sums: WeightedSums, pair: Pair, vmaf: dict[str, Metric], kind: str | None) -> ScoreRegion:
    metrics = sums.metrics(pair.reference.width * pair.reference.height) | vmaf
    used = sum(weight > 0 for weight in sums.weight)
    share = float(np.mean(sums.weight)) if name in ("inside", "outside") else None
    return ScoreRegion(name, name == CIRCULAR, used, share, metrics, kind)
