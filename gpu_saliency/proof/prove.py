"""`prove_encode`: compares an ROI encode with a plain encode of the same source and settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import av

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.run import encode_part
from gpu_saliency.encode.sample import WindowPair
from gpu_saliency.errors import SourceError, UsageError, setting
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.proof.compare import compare_error, compare_qp
from gpu_saliency.proof.qp import ENCODE_AGAIN, exports_qp
from gpu_saliency.proof.verdict import PlaceProof, Proof, judge
from gpu_saliency.source.formats import open_file

LOOKAHEAD_FRAMES = 60
"""Frames that the plain encode of an excerpt has after the compared ones. x264 and x265 choose a frame's QP by the frames after it,
at most 60 at their slowest presets (``rc-lookahead``); without these the end of an excerpt would differ from the whole encode."""


PLACE_ERROR_FRAMES = 8
"""The same where the codec exports no QP and the error is compared, which varies from frame to frame."""
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
        return judge(plan, compare_error(plan, job.clip, output, other, frames), ratio)


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
    """Compare at the place of each window of a sample the encode with ``plan`` with the plain encode, over `PLACE_FRAMES` frames.

    The two encodes of a window have the same frames, filters and settings as the encode of the clip, and both begin with a key
    frame; the clip's own frames there do not, so they cannot be compared with a plain window. Raises as `prove_encode`.
    """
    return tuple(_prove_place(job, plan, pair) for pair in pairs)


def _prove_place(job: EncodeJob, plan: RoiPlan, pair: WindowPair) -> PlaceProof:
    frames = min(PLACE_FRAMES, plan.frame_count - pair.start)
    proof = None
    if job.spec.codec == "h264":
        with suppress(SourceError):  # interlaced
            proof = judge(plan, compare_qp(plan, pair.roi, pair.plain, frames, pair.start), None)
    if proof is not None and not proof.has_few_blocks:
        return PlaceProof.of(pair.start, proof)
    frames = min(PLACE_ERROR_FRAMES, plan.frame_count - pair.start)
    error = compare_error(plan, job.clip, pair.roi, pair.plain, frames, pair.start, job.frame_pts)
    found = PlaceProof.of(pair.start, judge(plan, error, None))
    # The error of so few frames may fall anywhere: that it did not move as planned proves nothing.
    return replace(found, moved=found.moved or None)


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
