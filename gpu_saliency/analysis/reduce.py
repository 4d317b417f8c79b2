"""Reduces the maps of each segment of a track to one map, and likewise the activity, on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.aggregate import aggregate
from gpu_saliency.analysis.track import SaliencyTrack, decode_activity, decode_gaze, decode_saliency

Decode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class HostReducer:
    """The `Reducer` for tracks that are stored on the host only."""

    def reduce_saliency(
        self, track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
    ) -> NDArray[np.float32]:
        return reduce_saliency(track, starts, aggregator, ema_alpha)

    def reduce_gaze(
        self, track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
    ) -> NDArray[np.float32]:
        return reduce_gaze(track, starts, aggregator, ema_alpha)

    def reduce_activity(self, track: SaliencyTrack, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        return reduce_activity(track, starts)


def reduce_saliency(track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float) -> NDArray[np.float32]:
    """``[segments, rows, cols]`` in 0..1: the maps of each segment reduced by ``aggregator``. Raises `UsageError`."""
    return _reduce_maps(track, track.saliency, decode_saliency, starts, aggregator, ema_alpha)


def reduce_gaze(track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float) -> NDArray[np.float32]:
    """``[segments, rows, cols]`` in 0..1: the gaze maps of each segment, decoded, reduced by ``aggregator``.

    Raises `UsageError`, or `ValueError` for a track without gaze.
    """
    if track.gaze is None:
        raise ValueError("the track has no gaze maps")
    return _reduce_maps(track, track.gaze, decode_gaze, starts, aggregator, ema_alpha)


def _reduce_maps(
    track: SaliencyTrack, codes: NDArray[np.uint8], decode: Decode, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
) -> NDArray[np.float32]:
    motion = motion_within_scenes(track)
    reduced = np.empty((len(starts), *codes.shape[1:]), np.float32)
    for i, (start, end) in enumerate(_spans(starts, len(track.sample_frame))):
        # Map by map: as float32, those of a long segment would take four times the memory of their codes.
        maps = (decode(one) for one in codes[start:end])
        reduced[i] = aggregate(aggregator, maps, motion[start:end], ema_alpha)
    return reduced


def reduce_activity(track: SaliencyTrack, starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean activity of each segment, ``[segments, rows, cols]``; ``starts`` as in `reduce_saliency`.

    The first sample of a scene is omitted if the segment has others: its change comes from the cut, not from motion.
    """
    after_cut = track.after_cut()
    reduced = np.empty((len(starts), *track.activity.shape[1:]), np.float32)
    for i, (start, end) in enumerate(_spans(starts, len(track.sample_frame))):
        within = [sample for sample in range(start, end) if not after_cut[sample]] or [start]
        reduced[i] = sum(decode_activity(track.activity[sample]) for sample in within) / len(within)
    return reduced


def _spans(starts: NDArray[np.int64], samples: int) -> list[tuple[int, int]]:
    ends = [*starts[1:].tolist(), samples]
    return list(zip(starts.tolist(), ends, strict=True))


def motion_within_scenes(track: SaliencyTrack) -> NDArray[np.float32]:
    """The track's motion ``[samples]`` without the change at cuts.

    The first sample of a scene takes the motion of the second, or 0 if it is the only one.
    """
    motion, after_cut = track.motion.copy(), track.after_cut()
    for sample in np.flatnonzero(after_cut):
        alone = sample + 1 == len(motion) or after_cut[sample + 1]
        motion[sample] = 0 if alone else motion[sample + 1]
    return motion
