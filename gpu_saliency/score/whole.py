"""Runs the pass of ffmpeg that compares two clips, and feeds it the region."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.ffmpeg import Ffmpeg, run_ffmpeg
from gpu_saliency.errors import EncodeError, GpuSaliencyError, SourceError, setting
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.progress import Advance
from gpu_saliency.score.graph import Measured, ScoreFiles, score_command, score_graph
from gpu_saliency.score.logs import read_filters, read_vmaf
from gpu_saliency.score.maps import ScoreMaps, inside
from gpu_saliency.score.metric import Metric
from gpu_saliency.score.pair import Pair

_JOIN_SECONDS = 10.0
"""The reader has ended when the writer is joined, which breaks the pipe; the limit is for a reader that never started."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass measured."""

    frames: int
    metrics: dict[str, Metric]
    region: dict[str, Metric]
    """VMAF with the pixels outside the region replaced."""
    command: tuple[str, ...]
    """ffmpeg's command line; the filters' files are in a folder named ``score``, which was temporary."""


def run_pass(
    ffmpeg: Ffmpeg,
    pair: Pair,
    measured: Measured,
    frames: int,
    masks: ScoreMaps | None,
    advance: Advance,
    on_error: Callable[[str], None] | None = None,
) -> Passed:
    """Measure ``pair``, and with ``masks`` the views of the region. ``frames`` limits the comparison; 0 compares all.

    ``on_error`` is called in another thread with each line of ffmpeg's log of level ``error`` or worse.
    Raises `SourceError` when ffmpeg cannot decode a file, or when the files have different numbers of frames, and `MapsError`
    when the masks have another number.
    """
    with temporary_folder() as folder:
        files = ScoreFiles(folder)
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        graph, outputs = score_graph(pair, measured, files, frames, threads)
        total = min(filter(None, (frames, pair.reference.frame_count, pair.distorted.frame_count)), default=None)
        with _feeding(masks if measured.region else None, pair) as mask_end:
            mask_input = None if mask_end is None else f"pipe:{mask_end}"
            command = score_command(ffmpeg, pair, graph, outputs, mask_input)
            try:
                run_ffmpeg(command, lambda done: advance(done, total), pass_fd=mask_end, on_error=on_error)
            except EncodeError as error:
                cure = "check that it and the reference play to the end"
                problem = f"{pair.distorted.path}: cannot be scored: {error.problem}"
                raise SourceError(problem, cure=cure, evidence=error.evidence) from error
        count = _check_frames(pair, files, frames)
        metrics = read_filters(files, measured, pair.peak) | read_vmaf(files, measured.views, region=False)
        region = read_vmaf(files, measured.region, region=True)
    if masks is not None:
        for metric in region.values():
            # Where the masks end, the pass over the region ends too.
            masks.check_count(len(metric.frames), count, limited=False)
    for name, metric in metrics.items():
        if len(metric.frames) != count:
            raise GpuSaliencyError(f"{name}: ffmpeg measured {len(metric.frames)} of {count} frames")
    return Passed(count, metrics, region, tuple(word.replace(str(folder), "score") for word in command))


@contextmanager
def _feeding(masks: ScoreMaps | None, pair: Pair) -> Iterator[int | None]:
    """Write the region of each frame to a pipe in a thread; yields the end to read, which the reader closes.

    An error of ``masks`` ends the reader early, and is raised here in place of the reader's own.
    """
    if masks is None:
        yield None
        return
    read_end, write_end = os.pipe()
    failure: list[BaseException] = []

    def feed() -> None:
        # The reader closes its end when it has enough.
        with suppress(BrokenPipeError), os.fdopen(write_end, "wb") as pipe:
            try:
                for mask in inside(masks.frames(pair.reference)):
                    pipe.write(mask_planes(mask))
            except BrokenPipeError:
                raise
            except BaseException as error:
                failure.append(error)

    writer = threading.Thread(target=feed, daemon=True)
    writer.start()
    try:
        yield read_end
    except SourceError:
        writer.join(_JOIN_SECONDS)
        if not failure:
            raise
    finally:
        writer.join(_JOIN_SECONDS)
    if failure:
        raise failure[0]


def mask_planes(mask: NDArray[np.bool_]) -> bytes:
    """``mask`` as a yuv420p picture of 0 and 255; a chroma sample is inside if half of its pixels or more are."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, height % 2), (0, width % 2)), mode="edge")
    chroma = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).sum(axis=(1, 3)) >= 2
    planes = [np.where(plane, 255, 0).astype(np.uint8).tobytes() for plane in (mask, chroma, chroma)]
    return b"".join(planes)


def _check_frames(pair: Pair, files: ScoreFiles, frames: int) -> int:
    """The number of frames of both files, or `SourceError` where they differ."""
    a, b = (files.counted(name).read_text().count("frame:") for name in ("reference", "distorted"))
    if a != b:
        fewer = min(a, b)
        raise SourceError(
            f"{pair.distorted.path}: has {b} frames, {pair.reference.path} has {a}{' of those asked for' if frames else ''}",
            cure=f"compare files of the same frames, or only the first {fewer} with {setting('frames', fewer)}",
        )
    if a == 0:
        raise SourceError(f"{pair.distorted.path}: no frame can be decoded", cure="give an intact file")
    return a
