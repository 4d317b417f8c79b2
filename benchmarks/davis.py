"""Reads the DAVIS clips and their object masks, for benchmarks that need the true position of the object.

A folder holds ``davis_NAME.mp4`` and ``davis_NAME_masks/NNNNN.png``, one object mask per frame (values above 127 are object).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import encode_saliency
from gpu_saliency.grid import block_mean
from gpu_saliency.source.clip import Clip

Masks = list[NDArray[np.bool_]]


def davis_clips(folder: Path) -> list[Path]:
    """Clips in ``folder``, sorted by name."""
    return sorted(folder.glob("davis_*.mp4"))


def masks_of(clip: Path) -> Masks:
    return read_masks(clip.with_name(f"{clip.stem}_masks"))


def read_masks(folder: Path) -> list[NDArray[np.bool_]]:
    """Read the mask ``[height, width]`` of each frame."""
    masks = []
    for path in sorted(folder.glob("*.png")):
        with av.open(str(path)) as container:
            masks.append(next(container.decode(video=0)).to_ndarray(format="gray") > 127)
    return masks


def object_blocks(masks: list[NDArray[np.bool_]], clip: Clip) -> NDArray[np.float32]:
    """Share of object pixels in each block, ``[frames, rows, cols]``."""
    return np.stack([block_mean(mask.astype(np.float32), clip.width, clip.height) for mask in masks])


OBJECT_SHARE = 1 / 16
"""Least share of object in an object block: an object's edge matters as much as its middle, and a block has one QP."""


def with_truth(sidecar: Sidecar, blocks: NDArray[np.float32]) -> Sidecar:
    """Replace the maps of ``sidecar`` by the truth: saliency 1 where a block holds object in any frame of the map, no gaze.

    ``blocks`` ``[frames, rows, cols]`` are shares of object, as `object_blocks` returns.
    """
    is_object = (blocks > OBJECT_SHARE).astype(np.float32)
    truth = encode_saliency(np.maximum.reduceat(is_object, sidecar.track.sample_starts(), axis=0))
    return replace(sidecar, track=replace(sidecar.track, saliency=truth, gaze=None))
