"""A clip's saliency: the way of a frame from the decoder to the block grid, on one page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.blocks import block_mean
from gpu_saliency.clip import Clip
from gpu_saliency.decode import DecodeTally
from gpu_saliency.detail import detail_map
from gpu_saliency.device import Device
from gpu_saliency.model import SaliencyModel
from gpu_saliency.prefetch import prefetch
from gpu_saliency.sampling import Sampling
from gpu_saliency.track import SaliencyTrack, Samples, encode_detail, encode_saliency

ProgressHook = Callable[[int, int | None], None]
"""Called with (frames done, frames in all or None)."""
SamplesHook = Callable[[Samples, DecodeTally | None], None]
"""Called with what each batch came to, and with what the decoder, which runs ahead, has met so far (``None``: it does not say)."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the model found in a clip; lives on the host. Produced by `analyse_clip`, kept in the sidecar."""

    track: SaliencyTrack
    corrupt_packets: int
    variable_frame_rate: bool
    seconds: float


def analyse_clip(
    clip: Clip,
    model: SaliencyModel,
    device: Device,
    sampling: Sampling,
    *,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
) -> Analysis:
    """Decode, sample, shrink, infer and reduce ``clip`` to blocks. Memory grows by two bytes per block and sampled frame.

    Raises `SourceError`, `ModelError` or `UsageError`.
    """
    started = time.perf_counter()
    aspect = clip.width * clip.sample_aspect_ratio / clip.height
    size = model.input_size(aspect if clip.rotation % 180 == 0 else 1 / aspect)
    tally = DecodeTally()
    saliency: list[NDArray[np.uint8]] = []
    detail: list[NDArray[np.uint8]] = []
    sample_frame: list[int] = []
    motion: list[float] = []
    previous: NDArray[np.float32] | None = None
    for batch in prefetch(device.decode(clip, sampling, size, model.batch_size, tally)):
        maps = _to_coded(model(device.preprocess(batch, size)), size.content, clip.rotation)
        saliency += list(encode_saliency(block_mean(maps, clip.width, clip.height)))
        for luma in device.luma(batch):
            part = _to_coded(detail_map(luma, previous)[None], size.content, clip.rotation)
            detail += list(encode_detail(block_mean(part, clip.width, clip.height)))
            motion.append(0.0 if previous is None else float(np.abs(luma - previous).mean()))
            previous = luma
        sample_frame += batch.index.tolist()
        if on_samples is not None:
            new = slice(-len(batch.index), None)
            found = Samples(batch.index, np.stack(saliency[new]), np.stack(detail[new]), np.array(motion[new], np.float32))
            on_samples(found, tally)
        if on_progress is not None:
            on_progress(sample_frame[-1] + 1, clip.frame_count)
    track = SaliencyTrack(
        saliency=np.stack(saliency),
        detail=np.stack(detail),
        sample_frame=np.array(sample_frame, np.int64),
        motion=np.array(motion, np.float32),
        frame_count=tally.frames,
        cuts=tally.scene.cuts(),
        frame_pts=tally.frame_pts(),
        time_base=tally.time_base,
    )
    return Analysis(track, tally.corrupt_packets, tally.variable_frame_rate, time.perf_counter() - started)


def _to_coded(maps: NDArray[np.float32], content: tuple[int, int], rotation: int) -> NDArray[np.float32]:
    """Upright, padded ``[N, H, W]`` to the picture as coded: padding cut off, rotation undone."""
    return np.rot90(maps[:, : content[1], : content[0]], -rotation // 90, axes=(1, 2))
