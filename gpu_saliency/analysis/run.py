"""The analysis loop, the same for every device: decodes, infers and reduces a clip batch by batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from gpu_saliency.analysis.device import AnalysisResult, Device, DeviceMemoryError, Model
from gpu_saliency.analysis.track import Samples
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.sampling import Sampling

ProgressHook = Callable[[int, int | None], None]
"""Called with the number of frames done, and the total or ``None`` where it is not known."""
SamplesHook = Callable[[Samples, DecodeTally | None], None]
"""Called with the samples of each batch and the decoder's tally (``None``: no tally); the decoder runs ahead of the samples."""
NoticeHook = Callable[[str], None]
"""Called with a message for the user where the run differs from the request, such as a smaller batch."""


def analyse_clip(
    clip: Clip,
    model: Model,
    device: Device,
    sampling: Sampling,
    *,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
    on_notice: NoticeHook | None = None,
) -> AnalysisResult:
    """Run the analysis of ``clip``: decode, sample, shrink, infer and reduce to blocks.

    After a `DeviceMemoryError` the loop tries again with smaller batches.
    Raises `SourceError`, `ModelError`, `ToolMissingError` or `UsageError`.
    """
    run = device.start(clip, model, sampling)
    if run.notice is not None and on_notice is not None:
        on_notice(run.notice)
    while True:
        try:
            with contextlib.closing(run.batches()) as batches:
                for batch in batches:
                    done = run.add(batch, run.infer(batch))
                    latest = run.latest() if on_samples is not None else None
                    if latest is not None and on_samples is not None:
                        on_samples(*latest)
                    if on_progress is not None:
                        on_progress(done, clip.frame_count)
            return run.finish()
        except DeviceMemoryError as error:
            batch = None  # it refers to the memory of its lane
            line = run.retry_smaller(error)
            if on_notice is not None:
                on_notice(line)
