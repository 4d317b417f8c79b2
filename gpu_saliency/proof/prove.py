"""`prove_encode`: compares an ROI encode with a plain encode of the same source and settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import av
import numpy as np

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.run import encode_part
from gpu_saliency.encode.sample import WindowPair
from gpu_saliency.errors import SourceError, UsageError, setting
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.proof.compare import compare_error, compare_qp
from gpu_saliency.proof.judge import judge
from gpu_saliency.proof.qp import ENCODE_AGAIN, exports_qp
from gpu_saliency.proof.verdict import LEAST_CONTRAST, PlaceProof, Proof
from gpu_saliency.source.formats import open_file

LOOKAHEAD_FRAMES = 60
"""Frames that the plain encode of an excerpt has after the compared ones. x264 and x265 choose a frame's QP by the frames after it,
at most 60 at their slowest presets (``rc-lookahead``); without these the end of an excerpt would differ from the whole encode."""


PLACE_FRAMES = 2
"""Frames that are compared at a further place of the clip: a key frame and another suffice to tell a plan from none."""


def prove_encode(
    job: EncodeJob,
    plan: RoiPlan,
    output: str | os.PathLike[str],
    *,
    max_frames: int | None,
    on_frame: Callable[[int], None] | None = None,
    plain: str | os.PathLike[str] | None = None,
) -> Proof:
    """Compare ``output``, the encode of ``job`` with ``plan``, with a plain encode of ``job``.

    It compares the first ``max_frames`` frames (``None``: all). ``plain`` is an existing plain encode of the whole clip; without it
    the function makes a temporary one. ``on_frame`` is called with the number of frames of the plain encode so far. Progressive
    H.264 is compared by QP if enough blocks send their QP, all other encodes by squared error.

    Raises `SourceError`, `EncodeError`, `ToolMissingError` or `UsageError`.
    """
    if max_frames is not None and max_frames < 1:
        raise UsageError("out of range", setting="max_frames", value=max_frames, cure="1 or more")
    output = Path(output)
    frames = plan.frame_count if max_frames is None else min(max_frames, plan.frame_count)
    with _plain_encode(job, plan, frames, on_frame) if plain is None else _existing_encode(Path(plain)) as other:
        ratio = video_bytes(output, frames) / video_bytes(other, frames)
        if exports_qp(output) and exports_qp(other):
            proof = judge(plan, compare_qp(plan, output, other, frames), ratio)
            # If QP hardly changes from block to block, few blocks send their own; then the squared error is measured instead.
            if not proof.has_few_blocks:
                return proof
        return judge(plan, compare_error(plan, job.shaped, output, other, frames, job.pictures()), ratio)


@contextmanager
def _plain_encode(job: EncodeJob, plan: RoiPlan, frames: int, on_frame: Callable[[int], None] | None) -> Iterator[Path]:
    with temporary_folder() as folder:
        part = Part(0, min(frames + LOOKAHEAD_FRAMES, plan.frame_count))
        yield encode_part(job, None, part, folder, on_frame)


@contextmanager
def _existing_encode(path: Path) -> Iterator[Path]:
    if not path.is_file():
        raise SourceError(f"{path}: no such file", cure=f"give {setting('plain')} the path of an encode, or leave it out")
    yield path


def prove_places(job: EncodeJob, plan: RoiPlan, pairs: Sequence[WindowPair]) -> tuple[PlaceProof, ...]:
    """Compare at the place of each window of a sample the encode with ``plan`` with the plain encode.

    The two encodes of a window have the same frames, filters and settings as the encode of the clip, and both begin with a key
    frame; the clip's own frames there do not, so they cannot be compared with a plain window. Progressive H.264 is compared by QP
    over `PLACE_FRAMES` frames. All other encodes are compared packet by packet: an encoder that drops the plan writes the same
    packets, and squared errors of a few frames are too rough a measure. Raises `SourceError`.
    """
    return tuple(_prove_place(job, plan, pair) for pair in pairs)


def _prove_place(job: EncodeJob, plan: RoiPlan, pair: WindowPair) -> PlaceProof:
    frames = min(PLACE_FRAMES, plan.frame_count - pair.start)
    if job.spec.codec == "h264":
        with suppress(SourceError):  # interlaced
            proof = judge(plan, compare_qp(plan, pair.roi, pair.plain, frames, pair.start), None)
            if not proof.has_few_blocks:
                return PlaceProof.of(pair.start, proof)
    own, plain = (_packets(path) for path in (pair.roi, pair.plain))
    effective = plan.effective(plan.segment_of(pair.start))
    has_contrast = float(np.ptp(effective)) >= LEAST_CONTRAST
    return PlaceProof(pair.start, len(own), None, (own != plain) if has_contrast else None)


def _packets(path: Path) -> list[bytes]:
    """The video packets of a part's file. Raises `SourceError`."""
    try:
        with av.open(f"file:{path}") as container:
            return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise SourceError(f"{path}: cannot be read: {error}", cure=ENCODE_AGAIN) from error


def video_bytes(path: Path, frames: int) -> int:
    """Size in bytes of the first ``frames`` video packets in decode order. Raises `SourceError`."""
    try:
        with open_file(path) as container:
            if not container.streams.video:
                raise SourceError(f"{path}: holds no video", cure=ENCODE_AGAIN)
            packets = (packet.size for packet in container.demux(container.streams.video[0]) if packet.size)
            total = sum(islice(packets, frames))
    except (av.FFmpegError, FileNotFoundError) as error:
        raise SourceError(f"{path}: cannot be read: {error}", cure=ENCODE_AGAIN) from error
    if not total:
        raise SourceError(f"{path}: holds no video", cure=ENCODE_AGAIN)
    return total
