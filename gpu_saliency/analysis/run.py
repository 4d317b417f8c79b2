"""A clip's saliency: the way of a frame from the decoder to the block grid, the same on every device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from gpu_saliency.analysis.device import Device, DeviceMemoryError, Found, Model
from gpu_saliency.analysis.track import Samples
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.sampling import Sampling

ProgressHook = Callable[[int, int | None], None]
"""Called with (frames done, frames in all or None)."""
SamplesHook = Callable[[Samples, DecodeTally | None], None]
"""Called with what each batch came to, and with what the decoder, which runs ahead, has met so far (``None``: it does not say)."""
NoticeHook = Callable[[str], None]
"""Called with a line for people: something went another way than they may expect."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the model found in a clip; lives on the host. Produced by `analyse_clip`, kept in the sidecar."""

    found: Found
    seconds: float


def analyse_clip(
    clip: Clip,
    model: Model,
    device: Device,
    sampling: Sampling,
    *,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
    on_notice: NoticeHook | None = None,
) -> Analysis:
    """Decode, sample, shrink, infer and reduce ``clip`` to blocks.

    Raises `SourceError`, `ModelError`, `ToolMissingError` or `UsageError`.
    """
    started = time.perf_counter()
    run = device.start(clip, model, sampling)
    if run.notice is not None and on_notice is not None:
        on_notice(run.notice)
    while True:
        try:
            with contextlib.closing(run.batches()) as batches:
                for batch in batches:
                    done = run.record(batch, run.infer(batch))
                    latest = run.latest() if on_samples is not None else None
                    if latest is not None and on_samples is not None:
                        on_samples(*latest)
                    if on_progress is not None:
                        on_progress(done, clip.frame_count)
            found = run.finish()
            break
        except DeviceMemoryError as error:
            line = run.retry_smaller(error)
            if on_notice is not None:
                on_notice(line)
    return Analysis(found, time.perf_counter() - started)
