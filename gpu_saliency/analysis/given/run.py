"""`analyse_given`: makes a track from given maps; the clip is decoded for its cuts, activity and time axis, and no model runs."""

from __future__ import annotations

import contextlib

from gpu_saliency.analysis.device import AnalysisResult
from gpu_saliency.analysis.given.opened import OpenMaps
from gpu_saliency.analysis.given.reader import MapReader
from gpu_saliency.analysis.recorder import HostRecorder, finish_track
from gpu_saliency.analysis.run import ProgressHook, SamplesHook
from gpu_saliency.analysis.track import Samples
from gpu_saliency.model.contract import DEFAULT_BATCH_SIZE, shipped_input_size
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, FrameBatch, decode_batches
from gpu_saliency.source.prefetch import prefetch
from gpu_saliency.source.sampling import NearestFrames, Sampling


def analyse_given(
    clip: Clip,
    maps: OpenMaps,
    sampling: Sampling,
    *,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
) -> AnalysisResult:
    """Make the track of ``clip`` from ``maps``; the hooks are those of `analyse_clip`. Raises `SourceError` or `MapsError`.

    A sample takes the mean of a few maps around it, see `MapReader.samples`.
    """
    reader = MapReader(clip, maps)
    reader.check_early()
    choice = sampling if reader.numbers is None else NearestFrames(sampling, reader.numbers)
    size, tally = shipped_input_size(clip.upright_aspect), DecodeTally()
    recorder = HostRecorder(clip, size, maps.attention)
    parts: list[Samples] = []

    def add(batch: FrameBatch, end: int) -> None:
        # Only now, since a cut is found some frames after it was decoded.
        found = reader.samples(batch.index, end, tally.scene.cuts())
        if found is None:
            return  # too few maps: the decoder runs to the end, so that the error can state both numbers
        parts.append(recorder.add_blocks(batch, *found))
        if on_samples is not None:
            on_samples(parts[-1], tally)
        if on_progress is not None:
            on_progress(int(batch.index[-1]) + 1, clip.frame_count)

    waiting: FrameBatch | None = None
    stream = prefetch(decode_batches(clip, choice, size.content, DEFAULT_BATCH_SIZE, tally))
    with contextlib.closing(reader), contextlib.closing(stream) as batches:
        for batch in batches:
            if waiting is not None:
                add(waiting, (int(waiting.index[-1]) + int(batch.index[0]) + 1) // 2)
            waiting = batch
        assert waiting is not None  # a clip has a frame, and so a sample
        add(waiting, tally.frames)
        reader.check_end(tally.frames)
    return finish_track(clip, parts, tally)
