"""A clip's saliency: the way of a frame from the decoder to the block grid, on one page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA, make_aggregator
from gpu_saliency.blocks import block_mean
from gpu_saliency.clip import Clip
from gpu_saliency.decode import DecodeTally
from gpu_saliency.detail import DetailMeter
from gpu_saliency.device import Device
from gpu_saliency.model import SaliencyModel
from gpu_saliency.prefetch import prefetch
from gpu_saliency.sampling import Sampling

ProgressHook = Callable[[int, int | None], None]
"""Called with (frames done, frames in all or None)."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the model found in a clip; lives on the host. Produced by `analyse_clip`, kept in the sidecar."""

    saliency: NDArray[np.float32]
    """``[segments, rows, cols]``, 0..1, mean over each 16x16 block of the aggregated map."""
    detail: NDArray[np.float32]
    """``[segments, rows, cols]``, share of the picture's detail in each block; a segment sums to 1."""
    frame_count: int
    """Frames decoded, which is what an encode must come to."""
    sampled_frames: int
    corrupt_packets: int
    variable_frame_rate: bool
    seconds: float


def analyse_clip(
    clip: Clip,
    model: SaliencyModel,
    device: Device,
    sampling: Sampling,
    *,
    aggregator: str = DEFAULT_AGGREGATOR,
    ema_alpha: float = DEFAULT_EMA_ALPHA,
    on_progress: ProgressHook | None = None,
) -> Analysis:
    """Decode, sample, shrink, infer and aggregate ``clip``. Memory does not grow with its length.

    Raises `SourceError`, `ModelError` or `UsageError`.
    """
    started = time.perf_counter()
    reducer = make_aggregator(aggregator, ema_alpha)
    aspect = clip.width * clip.sample_aspect_ratio / clip.height
    size = model.input_size(aspect if clip.rotation % 180 == 0 else 1 / aspect)
    tally, meter, sampled = DecodeTally(), DetailMeter(), 0
    previous: NDArray[np.float32] | None = None
    for batch in prefetch(device.decode(clip, sampling, size, model.batch_size, tally)):
        maps = _to_coded(model(device.preprocess(batch, size)), size.content, clip.rotation)
        for saliency_map, luma in zip(maps, device.luma(batch), strict=True):
            reducer.add(saliency_map, 0.0 if previous is None else float(np.abs(luma - previous).mean()))
            meter.add(luma)
            previous = luma
        sampled += len(batch.index)
        if on_progress is not None:
            on_progress(int(batch.index[-1]) + 1, clip.frame_count)
    detail = block_mean(_to_coded(meter.result()[None], size.content, clip.rotation), clip.width, clip.height)
    return Analysis(
        saliency=block_mean(reducer.result()[None], clip.width, clip.height),
        detail=detail / detail.sum(),
        frame_count=tally.frames,
        sampled_frames=sampled,
        corrupt_packets=tally.corrupt_packets,
        variable_frame_rate=tally.variable_frame_rate,
        seconds=time.perf_counter() - started,
    )


def _to_coded(maps: NDArray[np.float32], content: tuple[int, int], rotation: int) -> NDArray[np.float32]:
    """Upright, padded ``[N, H, W]`` to the picture as coded: padding cut off, rotation undone."""
    return np.rot90(maps[:, : content[1], : content[0]], -rotation // 90, axes=(1, 2))
