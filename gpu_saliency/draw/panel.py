"""Panels, the upright pictures of a clip: their size, and the block of each of their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.grid import BLOCK_SIZE
from gpu_saliency.source.clip import Clip


def panel_size(clip: Clip, side: int) -> tuple[int, int]:
    """Width and height of a panel with the clip's displayed aspect and a longer side of ``side`` pixels."""
    wide, high = float(clip.width * clip.sample_aspect_ratio), float(clip.height)
    if clip.rotation % 180:
        wide, high = high, wide
    scale = side / max(wide, high)
    return max(1, round(wide * scale)), max(1, round(high * scale))


def panel_cells(clip: Clip, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the block that each pixel of an upright panel belongs to; both ``[height, width]``."""
    coded = (height, width) if clip.rotation % 180 == 0 else (width, height)
    y = ((np.arange(coded[0]) + 0.5) * clip.height / coded[0]).astype(np.intp) // BLOCK_SIZE
    x = ((np.arange(coded[1]) + 0.5) * clip.width / coded[1]).astype(np.intp) // BLOCK_SIZE
    rows, cols = np.meshgrid(y, x, indexing="ij")
    return clip.orientation.upright(rows), clip.orientation.upright(cols)
