"""The DAVIS clips and what is true of them: shared by the benchmarks that need to know where the object is.

A folder holds ``davis_NAME.mp4`` and ``davis_NAME_masks/NNNNN.png``, one object mask per frame (above 127: object).
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
    """The clips in ``folder``, by name."""
    return sorted(folder.glob("davis_*.mp4"))


def masks_of(clip: Path) -> Masks:
    return read_masks(clip.with_name(f"{clip.stem}_masks"))


def read_masks(folder: Path) -> list[NDArray[np.bool_]]:
    """``[height, width]`` of each frame."""
    masks = []
    for path in sorted(folder.glob("*.png")):
        with av.open(str(path)) as container:
            masks.append(next(container.decode(video=0)).to_ndarray(format="gray") > 127)
    return masks


def object_blocks(masks: list[NDArray[np.bool_]], clip: Clip) -> NDArray[np.float32]:
    """Share of object in each block: ``[frames, rows, cols]``."""
    return np.stack([block_mean(mask.astype(np.float32), clip.width, clip.height) for mask in masks])


OBJECT_SHARE = 1 / 16
"""Part of a block from which on it counts as object: its edge matters as much as its middle, and a block has one quantiser."""


def with_truth(sidecar: Sidecar, blocks: NDArray[np.float32]) -> Sidecar:
    """``sidecar`` with the truth as its saliency: 1 for blocks in which there is object in a frame for which the map stands.

    ``blocks`` ``[frames, rows, cols]`` are shares of object.
    """
    is_object = (blocks > OBJECT_SHARE).astype(np.float32)
    truth = encode_saliency(np.maximum.reduceat(is_object, sidecar.track.sample_starts(), axis=0))
    return replace(sidecar, track=replace(sidecar.track, saliency=truth))
