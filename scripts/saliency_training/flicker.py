"""How much a map changes from frame to frame where the picture itself does not: its flicker.

The warping error of Lai et al., "Learning blind video temporal consistency" (ECCV 2018, section 4.2), with two changes: the
previous map is brought along by block matching rather than by a flow network, and the difference is absolute, not squared, so
that it reads in units of the map. Where the compensated pictures still differ (occlusion, cuts, motion that matching cannot
follow) nothing is counted, as there.

A map that never changes has flicker 0: read it beside the metrics of what the map is worth, never alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_saliency.clip import probe_clip
from gpu_saliency.decode import DecodeTally, Shrinker, decode_frames
from saliency_training.predictors import Predictor

SEARCH = 8
"""Pixels of the model's input, each way: at 256 columns 60 of a 1080p frame."""
_BLOCK = 8
_SMALLEST_GAIN = 0.5
"""Levels of 255 a pixel by which a vector must beat standing still: flat and noisy blocks stay."""
FOLLOWED = 3.0
"""A block counts if its compensated luma differs by at most this many levels of 255 on average."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
FRAMES = 48


@dataclass(frozen=True, slots=True)
class Change:
    """From one frame to the next."""

    flicker: float
    """Mean absolute change of the map, 0..1, over the pixels that count; 0 if none do."""
    followed: float
    """Share of the pixels that count, 0..1."""


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of whole blocks ``[rows, cols]``; what is left at the right and lower edges is dropped."""
    rows, cols = values.shape[0] // _BLOCK, values.shape[1] // _BLOCK
    cut = values[: rows * _BLOCK, : cols * _BLOCK]
    return np.asarray(cut.reshape(rows, _BLOCK, cols, _BLOCK).mean(axis=(1, 3)))


def _shifted(values: NDArray[np.float32], dy: int, dx: int) -> NDArray[np.float32]:
    """``result[y, x] = values[y + dy, x + dx]``; infinite outside."""
    padded = np.pad(values, SEARCH, constant_values=np.inf)
    return padded[SEARCH + dy : SEARCH + dy + values.shape[0], SEARCH + dx : SEARCH + dx + values.shape[1]]


def change(
    before: NDArray[np.float32], after: NDArray[np.float32], map_before: NDArray[np.float32], map_after: NDArray[np.float32]
) -> Change:
    """Of two frames' luma (0..255) and maps (0..1), all ``[H, W]``.

    For each 8x8 block of ``after`` the best whole-pixel vector within `SEARCH` is found by mean absolute difference; along it
    the maps are compared.
    """
    best = _blocks(np.abs(after - before))
    moved = _blocks(np.abs(map_after - map_before))
    for dy in range(-SEARCH, SEARCH + 1):
        for dx in range(-SEARCH, SEARCH + 1):
            if dy == dx == 0:
                continue
            error = _blocks(np.abs(after - _shifted(before, dy, dx))) + np.float32(_SMALLEST_GAIN)
            better = error < best
            if better.any():
                best = np.where(better, error, best)
                moved = np.where(better, _blocks(np.abs(map_after - _shifted(map_before, dy, dx))), moved)
    counts = best <= FOLLOWED
    return Change(float(moved[counts].mean()) if counts.any() else 0.0, float(counts.mean()))


def read_frames(clip: Path, size: tuple[int, int], limit: int = FRAMES) -> list[NDArray[np.uint8]]:
    """The first ``limit`` frames as ``[h, w, 3]`` R'G'B', shrunk to ``size`` (width, height) as gpu-saliency does."""
    shrink, frames = Shrinker(size), []
    for frame in decode_frames(probe_clip(clip), DecodeTally()):
        frames.append(shrink(frame))
        if len(frames) == limit:
            break
    return frames


def clip_flicker(predictor: Predictor, clip: Path, size: tuple[int, int]) -> Change:
    """Means over a clip's first `FRAMES` frames, each pair weighted by how much of it counts."""
    changes: list[Change] = []
    last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    for rgb in read_frames(clip, size):
        now = (rgb.astype(np.float32) @ _LUMA, predictor(Image.fromarray(rgb), size))
        if last is not None:
            changes.append(change(last[0], now[0], last[1], now[1]))
        last = now
    weight = sum(c.followed for c in changes)
    mean = sum(c.flicker * c.followed for c in changes) / weight if weight else 0.0
    return Change(mean, weight / max(1, len(changes)))
