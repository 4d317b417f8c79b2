"""How much a map changes from frame to frame where the picture itself does not: its flicker.

The warping error of Lai et al., "Learning blind video temporal consistency" (ECCV 2018, section 4.2), with two changes: the
previous map is brought along by block matching rather than by a flow network, and the difference is absolute, not squared, so
that it reads in units of the map. Where the compensated pictures still differ (occlusion, cuts, motion that matching cannot
follow) nothing is counted, as there.

A map that never changes has flicker 0: read it beside the metrics of what the map is worth, never alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.shrink import Shrinker
from saliency_training.predictors import Predictor

SEARCH = 8
"""Pixels of the model's input, each way: at 256 columns 60 of a 1080p frame."""
_BLOCK = 8
_SMALLEST_GAIN = 0.5
"""Levels of 255 a pixel by which a vector must beat standing still: flat and noisy blocks stay."""
FOLLOWED = 3.0
"""A block was found again if its compensated luma differs by at most this many levels of 255 on average."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
FRAMES = 48


@dataclass(frozen=True, slots=True)
class Motion:
    """From one frame to the next, by 8x8 blocks of the later one; each ``[rows, cols]``."""

    dy: NDArray[np.intp]
    dx: NDArray[np.intp]
    """Pixels; the block was at its own place plus this."""
    followed: NDArray[np.bool_]
    """Whether it was found again."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of a map, from one frame to the next."""

    flicker: float
    """Mean absolute change, 0..1, over the blocks that were found again; 0 if none were."""
    followed: float
    """Share of the blocks that were, 0..1."""


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of whole blocks ``[rows, cols]``; what is left at the right and lower edges is dropped."""
    rows, cols = values.shape[0] // _BLOCK, values.shape[1] // _BLOCK
    cut = values[: rows * _BLOCK, : cols * _BLOCK]
    return np.asarray(cut.reshape(rows, _BLOCK, cols, _BLOCK).mean(axis=(1, 3)))


def match(before: NDArray[np.float32], after: NDArray[np.float32]) -> Motion:
    """The best whole-pixel vector within `SEARCH` of each block, by mean absolute difference of luma ``[H, W]``, 0..255."""
    height, width = after.shape
    padded = np.pad(before, SEARCH, constant_values=np.inf)
    best = _blocks(np.abs(after - before))
    dy, dx = np.zeros(best.shape, np.intp), np.zeros(best.shape, np.intp)
    for y in range(-SEARCH, SEARCH + 1):
        for x in range(-SEARCH, SEARCH + 1):
            earlier = padded[SEARCH + y : SEARCH + y + height, SEARCH + x : SEARCH + x + width]
            error = _blocks(np.abs(after - earlier)) + np.float32(_SMALLEST_GAIN)
            better = error < best
            best[better], dy[better], dx[better] = error[better], y, x
    return Motion(dy, dx, best <= FOLLOWED)


def change(motion: Motion, before: NDArray[np.float32], after: NDArray[np.float32]) -> Change:
    """Of two maps ``[H, W]``, 0..1, along ``motion``."""
    rows, cols = motion.dy.shape
    whole = np.ones((_BLOCK, _BLOCK), np.intp)
    y = np.arange(rows * _BLOCK)[:, None] + np.kron(motion.dy, whole)
    x = np.arange(cols * _BLOCK)[None, :] + np.kron(motion.dx, whole)
    earlier = before[np.clip(y, 0, before.shape[0] - 1), np.clip(x, 0, before.shape[1] - 1)]
    moved = _blocks(np.abs(after[: rows * _BLOCK, : cols * _BLOCK] - earlier))[motion.followed]
    return Change(float(moved.mean()) if moved.size else 0.0, float(motion.followed.mean()))


@lru_cache(maxsize=32)
def read_motion(clip: Path, size: tuple[int, int]) -> tuple[list[NDArray[np.uint8]], list[Motion]]:
    """The first `FRAMES` frames, ``[h, w, 3]`` R'G'B' shrunk to ``size`` (width, height) as gpu-saliency does; and their motion."""
    shrink = Shrinker(size)
    frames = [shrink(frame) for frame in islice(decode_frames(probe_clip(clip), DecodeTally()), FRAMES)]
    lumas = [frame.astype(np.float32) @ LUMA for frame in frames]
    return frames, [match(before, after) for before, after in pairwise(lumas)]


def clip_flicker(predictor: Predictor, clip: Path, size: tuple[int, int]) -> Change:
    """Means over a clip's first `FRAMES` frames, each pair weighted by how much of it was found again."""
    frames, motions = read_motion(clip, size)
    maps = [predictor(Image.fromarray(frame), size) for frame in frames]
    changes = [change(motion, *two) for motion, two in zip(motions, pairwise(maps), strict=True)]
    weight = sum(c.followed for c in changes)
    mean = sum(c.flicker * c.followed for c in changes) / weight if weight else 0.0
    return Change(mean, weight / max(1, len(changes)))
