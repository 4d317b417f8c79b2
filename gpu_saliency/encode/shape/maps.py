"""`shaped_sidecar`: the saliency of a clip as that of an output of another shape, from which the output's plan is made.

Each block of the output takes the mean of what it shows of the source's blocks, weighted by area. Saliency and gaze are levels
of a place, so they keep their values. Activity is relative; a block that shows a larger part of the source keeps its mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import (
    SaliencyTrack,
    decode_activity,
    decode_gaze,
    decode_saliency,
    encode_activity,
    encode_gaze,
    encode_saliency,
)
from gpu_saliency.encode.shape.retimed import Retimed
from gpu_saliency.encode.shape.shape import Shape
from gpu_saliency.grid import BLOCK_SIZE, overlap_shares
from gpu_saliency.source.clip import Clip

_AT_ONCE = 64
"""Maps that are converted at a time: as floats they take four times the memory."""
Bytes = NDArray[np.uint8]


def shaped_sidecar(sidecar: Sidecar, clip: Clip, shape: Shape, retimed: Retimed | None) -> Sidecar:
    """``sidecar`` of ``clip`` for an output of ``shape``: its maps on the output's grid, its frames as ``retimed`` numbers them."""
    if not shape.is_given:
        return sidecar
    track, shaped = sidecar.track, shape.applied(clip)
    if shape.is_picture:
        track = _moved(track, clip, shape, shaped)
    if retimed is not None:
        track = _renumbered(track, retimed)
    source = replace(sidecar.source, width=shaped.width, height=shaped.height)
    return replace(sidecar, track=replace(track, reducer=None), source=source)


def shown_weights(source: int, start: int, length: int, shown: int) -> NDArray[np.float64]:
    """The share of each output block that each source block makes up, along one axis: ``[output blocks, source blocks]``.

    The source has ``source`` pixels, of which ``length`` from ``start`` on become ``shown`` pixels. Rows sum to 1.
    """
    blocks, cells = -(-shown // BLOCK_SIZE), -(-source // BLOCK_SIZE)
    edges = np.minimum(np.arange(cells + 1) * BLOCK_SIZE, source).astype(np.float64)
    low = start + np.arange(blocks) * BLOCK_SIZE * length / shown
    high = start + np.minimum((np.arange(blocks) + 1) * BLOCK_SIZE, shown) * length / shown
    return overlap_shares(low, high, edges)


def _moved(track: SaliencyTrack, clip: Clip, shape: Shape, shaped: Clip) -> SaliencyTrack:
    box = shape.box(clip)
    down = shown_weights(clip.height, box.y, box.height, shaped.height).astype(np.float32)
    across = shown_weights(clip.width, box.x, box.width, shaped.width).astype(np.float32).T

    def moved(maps: Bytes, decode: Callable[[Bytes], NDArray[np.float32]], encode: Callable[..., Bytes]) -> Bytes:
        parts = [encode(down @ decode(maps[i : i + _AT_ONCE]) @ across) for i in range(0, len(maps), _AT_ONCE)]
        return np.concatenate(parts)

    return replace(
        track,
        saliency=moved(track.saliency, decode_saliency, encode_saliency),
        activity=moved(track.activity, decode_activity, encode_activity),
        gaze=None if track.gaze is None else moved(track.gaze, decode_gaze, encode_gaze),
        reducer=None,
    )


def _renumbered(track: SaliencyTrack, retimed: Retimed) -> SaliencyTrack:
    """``track`` with the output's frame numbers; of samples that fall on one frame the last is kept, as of cuts."""
    frames = retimed.frame_count
    at = np.minimum(retimed.first_of(track.sample_frame), frames - 1)
    kept = np.append(at[1:] != at[:-1], True)
    cuts = np.unique(retimed.first_of(np.array(track.cuts, np.int64))) if track.cuts else np.array([], np.int64)
    return replace(
        track,
        saliency=track.saliency[kept],
        activity=track.activity[kept],
        gaze=None if track.gaze is None else track.gaze[kept],
        motion=track.motion[kept],
        sample_frame=at[kept],
        frame_count=frames,
        cuts=tuple(int(cut) for cut in cuts if 0 < cut < frames),
        frame_pts=None,
        time_base=Fraction(1),
        clock="counted",
        reducer=None,
    )
