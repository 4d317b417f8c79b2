"""Splits a track into segments: similar neighbouring maps share a segment, and a cut always begins a new one.

Segments are merged bottom-up, the most similar neighbours first. A threshold on neighbouring maps instead would never begin a new
segment in a slow drift, and one outlier would split a scene in two.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.numerals import is_whole

DEFAULT_SEGMENTS = "auto"


CHANGED_ENOUGH = 0.3
"""Least `distance` between neighbouring segments of a scene: about three tenths of the saliency have moved elsewhere."""


_FLOOR = 0.02
"""Constant in the denominator of `distance`, so that noise in an almost empty map does not count as change."""


def check_segments(segments: str) -> None:
    """Raise `UsageError` unless ``segments`` is ``auto``, ``clip`` or a whole number of 1 or more."""
    if segments not in ("auto", "clip") and not is_whole(segments, 1):
        raise UsageError("unknown", setting="segments", value=segments, cure="auto, clip, or a number of 1 or more")


def split_track(track: SaliencyTrack, segments: str) -> NDArray[np.int64]:
    """Split ``track`` into segments; returns the number of each segment's first sample, rising from 0.

    ``auto`` begins a segment at each cut and where the maps have changed by `CHANGED_ENOUGH`; ``clip`` makes one segment; a number
    makes that number of segments. Raises `UsageError` if the track has fewer samples.
    """
    check_segments(segments)
    samples = len(track.sample_frame)
    if segments == "clip":
        return np.zeros(1, np.int64)
    if segments == "auto":
        return _merge(track, 1, CHANGED_ENOUGH)
    if int(segments) > samples:
        cure = f"give at most {samples}, or a higher {setting('analysis_fps')}, which makes more maps"
        raise UsageError(f"there are only {samples} maps", setting="segments", value=segments, cure=cure)
    return _merge(track, int(segments), np.inf)


def distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """How much two maps ``[rows, cols]`` in 0..1 differ: 0 if equal, near 1 if disjoint.

    The formula is ``sum |a - b| / sum (max(a, b) + _FLOOR)``.
    """
    return float(np.abs(a - b).sum() / (np.maximum(a, b) + _FLOOR).sum())


def _merge(track: SaliencyTrack, least: int, enough: float) -> NDArray[np.int64]:
    """Merge neighbouring segments until ``least`` are left, or all neighbours differ by ``enough`` (see `distance`)."""
    samples = len(track.sample_frame)
    after_cut = track.after_cut()
    # All arrays are indexed by a segment's first sample. A segment that was merged into another has size 0.
    mean = [one.astype(np.float32) / 255 for one in track.saliency]
    size = np.ones(samples, np.int64)
    following = np.arange(1, samples + 1)
    before = np.arange(-1, samples - 1)

    def gap(left: int, right: int) -> float:
        # 1 is more than any distance, so neighbours across a cut are merged last, and only to reach a given number of segments.
        return distance(mean[left], mean[right]) + (1.0 if after_cut[right] else 0.0)

    heap = [(gap(i - 1, i), i - 1, i, 1, 1) for i in range(1, samples)]
    heapq.heapify(heap)
    left_over = samples
    while heap and left_over > least:
        far, left, right, left_size, right_size = heapq.heappop(heap)
        if size[left] != left_size or size[right] != right_size:
            continue  # a stale entry: one of the two segments was merged since
        if far >= enough:
            break
        total = left_size + right_size
        mean[left] = (mean[left] * left_size + mean[right] * right_size) / total
        size[left], size[right] = total, 0
        mean[right] = mean[left]
        following[left] = following[right]
        left_over -= 1
        if following[left] < samples:
            before[following[left]] = left
            right = int(following[left])
            heapq.heappush(heap, (gap(left, right), left, right, total, int(size[right])))
        if before[left] >= 0:
            first = int(before[left])
            heapq.heappush(heap, (gap(first, left), first, left, int(size[first]), total))
    return np.flatnonzero(size).astype(np.int64)
