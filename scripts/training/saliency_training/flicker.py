"""Measures flicker: how much a map changes from frame to frame where the picture does not.

The warping error of Lai et al., "Learning blind video temporal consistency" (ECCV 2018, section 4.2), with two changes: the
previous map is motion-compensated by block matching instead of a flow network, and the difference is absolute, not squared, so
that its unit is the map's. As there, blocks that still differ after compensation (occlusion, cuts, motion that matching cannot
follow) are not counted.

A constant map has flicker 0: always read flicker together with the accuracy metrics.
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
"""Search range in pixels of the model's input, each way; at 256 columns that is 60 pixels of a 1080p frame."""
_BLOCK = 8
_SMALLEST_GAIN = 0.5
"""Levels of 255 per pixel by which a vector must beat the zero vector, so that flat and noisy blocks stay still."""
FOLLOWED = 3.0
"""A block counts as matched if its compensated luma differs by at most this many levels of 255 on average."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
FRAMES = 48


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion from one frame to the next, for each 8x8 block of the later one; each field ``[rows, cols]``."""

    dy: NDArray[np.intp]
    dx: NDArray[np.intp]
    """Pixels; the block came from its own place plus (dy, dx)."""
    followed: NDArray[np.bool_]
    """Whether the block was matched."""


@dataclass(frozen=True, slots=True)
class Change:
    """Change of a map from one frame to the next."""

    flicker: float
    """Mean absolute change, 0..1, over the matched blocks; 0 if there are none."""
    followed: float
    """Share of matched blocks, 0..1."""


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of whole blocks ``[rows, cols]``; partial blocks at the right and lower edges are dropped."""
    rows, cols = values.shape[0] // _BLOCK, values.shape[1] // _BLOCK
    cut = values[: rows * _BLOCK, : cols * _BLOCK]
    return np.asarray(cut.reshape(rows, _BLOCK, cols, _BLOCK).mean(axis=(1, 3)))


def match(before: NDArray[np.float32], after: NDArray[np.float32]) -> Motion:
    """Match each block by mean absolute difference of luma ``[H, W]``, 0..255, at whole pixels within `SEARCH`."""
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
    """Change between two maps ``[H, W]``, 0..1, after motion compensation."""
    rows, cols = motion.dy.shape
    whole = np.ones((_BLOCK, _BLOCK), np.intp)
    y = np.arange(rows * _BLOCK)[:, None] + np.kron(motion.dy, whole)
    x = np.arange(cols * _BLOCK)[None, :] + np.kron(motion.dx, whole)
    earlier = before[np.clip(y, 0, before.shape[0] - 1), np.clip(x, 0, before.shape[1] - 1)]
    moved = _blocks(np.abs(after[: rows * _BLOCK, : cols * _BLOCK] - earlier))[motion.followed]
    return Change(float(moved.mean()) if moved.size else 0.0, float(motion.followed.mean()))


@lru_cache(maxsize=32)
def read_motion(clip: Path, size: tuple[int, int]) -> tuple[list[NDArray[np.uint8]], list[Motion]]:
    """Read the first `FRAMES` frames, ``[h, w, 3]`` R'G'B' shrunk to ``size`` (width, height), and their motion."""
    shrink = Shrinker(size)
    frames = [shrink(frame) for frame in islice(decode_frames(probe_clip(clip), DecodeTally()), FRAMES)]
    lumas = [frame.astype(np.float32) @ LUMA for frame in frames]
    return frames, [match(before, after) for before, after in pairwise(lumas)]


def clip_flicker(predictor: Predictor, clip: Path, size: tuple[int, int]) -> Change:
    """Mean change over a clip's first `FRAMES` frames, each pair weighted by its share of matched blocks."""
    frames, motions = read_motion(clip, size)
    maps = [predictor(Image.fromarray(frame), size) for frame in frames]
    changes = [change(motion, *two) for motion, two in zip(motions, pairwise(maps), strict=True)]
    weight = sum(c.followed for c in changes)
    mean = sum(c.flicker * c.followed for c in changes) / weight if weight else 0.0
    return Change(mean, weight / max(1, len(changes)))
