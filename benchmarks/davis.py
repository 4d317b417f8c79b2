"""The DAVIS clips and what is true of them: shared by the benchmarks that need to know where the object is.

A folder holds ``davis_NAME.mp4`` and ``davis_NAME_masks/NNNNN.png``, one object mask per frame (above 127: object).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.blocks import block_mean
from gpu_saliency.clip import Clip, probe_clip
from gpu_saliency.decode import DecodeTally, decode_frames
from gpu_saliency.proof.block_error import luma
from gpu_saliency.sidecar import Sidecar
from gpu_saliency.track import encode_saliency

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


def with_truth(sidecar: Sidecar, blocks: NDArray[np.float32]) -> Sidecar:
    """``sidecar`` with the true share of object in each block, ``[frames, rows, cols]``, as its saliency."""
    truth = encode_saliency(blocks[sidecar.track.sample_frame])
    return replace(sidecar, track=replace(sidecar.track, saliency=truth))


def psnr(source: Clip, encode: Path, masks: Masks) -> tuple[float, float]:
    """Luma PSNR in dB inside and outside ``masks``, over as many frames as those are."""
    total, pixels = np.zeros(2), np.zeros(2)
    streams = (decode_frames(clip, DecodeTally()) for clip in (source, probe_clip(encode)))
    for a, b, mask in zip(*(islice(stream, len(masks)) for stream in streams), masks, strict=True):
        square = (luma(a).astype(np.int32) - luma(b)) ** 2
        inside = int(square[mask].sum())
        total += (inside, int(square.sum()) - inside)
        pixels += (mask.sum(), mask.size - mask.sum())
    peak = 2 ** av.VideoFormat(source.pix_fmt).components[0].bits - 1
    inside_db, outside_db = 10 * np.log10(peak**2 * pixels / total)
    return float(inside_db), float(outside_db)
