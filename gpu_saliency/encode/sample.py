"""A sample of a clip, encoded with and without the plan before the encode: how much the plan changes the size, and by how much to
correct the base quality so that it does not.

The plan keeps the size by a model of the rate (plan/mapping.py, plan/attention.py). Real sizes differ from it by some per cent,
more at low qualities, where most blocks send nothing. The sample measures that difference: a window at the start of the clip and
further windows, one in the middle of each of some equal intervals. Each window is encoded twice. Key frames and other frames are
counted apart, because every window begins with a key frame, and the clip has far fewer of them. A few windows are a rough measure
of a long clip, so the estimate is a mean of theirs and the usual ratio, weighted by the inverse of their variances.

The plain encode of the first window also serves the proof, so it starts before the plan is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.packet_sizes import packet_sizes
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.run import encode_part
from gpu_saliency.encode.workers import OnFrame, Task, Workers
from gpu_saliency.plan.policy import DEFAULT_OFFSET
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.seek import key_frame_before

OnProgress = Callable[[int, int | None], None]
PROVEN_FRAMES = 12
"""Frames at the start of the first window that the proof compares."""
FIRST_FRAMES = PROVEN_FRAMES + 8
"""Frames of the first window. The last ones are the lookahead of those that the proof compares."""
FURTHER_FRAMES = 12
"""Frames of each further window."""
SMALL_FRAMES = 300
"""A clip of at most this many frames has three further windows of twice as many frames: its encode takes little time anyway."""
CLIP_FRAMES_PER_WINDOW = 1000
"""Frames of the clip for each further window, of which there are 1 to `MOST_WINDOWS`."""
MOST_WINDOWS = 8
SHORT_FRAMES = 4 * 2 * FURTHER_FRAMES
"""A clip of at most this many frames is one window."""
KEY_FRAME_DISTANCE = 250
"""Most frames between two key frames, in x264 and x265 (``keyint``)."""
WINDOW_BIAS = 0.05
"""Octaves by which the size ratio of windows is too large where key frames are far larger than others: soon after a key frame,
which a plan makes smaller, it makes the others larger than later on. Measured on clips of 121 to 247 frames."""
SURE_CORRECTION = 0.3
"""Steps of the quality scale. After a larger correction the sample is encoded again with it, to measure what a step saves: it is
half as much in some clips, and twice as much in noise, as the `Quality` says."""
MAX_CORRECTION = 3.0
"""Most steps of the quality scale by which a sample corrects it."""
CLIP_VARIANCE = 0.07**2
"""Variance, in octaves, of the size ratio between clips around the usual ratio: 5 %, of four DAVIS clips with two encoders."""
WINDOW_VARIANCE = 0.07**2
"""Variance, in octaves, of the size ratio between the windows of one clip: 5 %, of a film of 500 frames."""


@dataclass(frozen=True, slots=True)
class SizeSample:
    """The measured change of the size by a plan, and its correction."""

    frames: int
    """Number of frames in the sample."""
    size_ratio: float
    """Size of the encodes with the plan divided by that of the plain encodes, at the same base quality."""
    expected_ratio: float
    """The estimate for the whole clip from that and from the usual ratio."""
    correction: float
    """What to add to the base quality of the encode with the plan, on the encoder's scale, so that the sizes are equal."""


@dataclass(frozen=True, slots=True)
class WindowPair:
    """A further window of the sample, encoded with and without the plan."""

    start: int
    """Number of its first frame in the clip."""
    roi: Path
    plain: Path


class Sampler:
    """Encodes the sample of one encode in ``folder``; the plain encode of the first window starts at once."""

    def __init__(self, job: EncodeJob, folder: Path, workers: Workers) -> None:
        self._folder, self._workers = folder, workers
        self._numbers = 0
        self.pairs: tuple[WindowPair, ...] = ()
        """The further windows that `measure` encoded."""
        self._first = first_window(job.shaped.frame_count)
        # Of a clip with a start, only the analysis finds the time stamps to which ffmpeg can seek; for another rate, all of them.
        is_known = job.retimed is not None or (job.shape.rate is None and (job.clip.span is None or job.frame_pts is not None))
        self._plain = self._encode(job, None, self._first) if is_known else None

    def fit(self, job: EncodeJob, frames: int) -> None:
        """Encode the first window again if the analysis, which counted ``frames``, shows that it is too short or otherwise wrong.

        The container may declare fewer frames than the clip has, and most containers declare only a rounded duration.
        """
        first = first_window(frames)
        if job.scaled or job.clip.span is not None or job.retimed is not None or self._first.end < first.end:
            self._first = first
            self._plain = self._encode(job, None, first)

    def plain(self, on_frame: OnFrame | None = None) -> Path:
        """Wait for the plain encode of the first window; returns its file. Raises as `encode_part`."""
        assert self._plain is not None
        return self._workers.results([self._plain], on_frame)[0]

    def measure(self, job: EncodeJob, plan: RoiPlan, on_progress: OnProgress | None = None) -> SizeSample:
        """Encode the sample with ``plan``, the rest of it also plainly, and compare the sizes. Raises as `encode_part`.

        ``on_progress`` is called with the number of frames encoded, plain ones too, and of all; a large correction adds to both.
        """
        quality = job.spec.quality
        assert quality is not None
        assert quality.per_octave is not None
        first = Part(0, min(self._first.end, plan.frame_count))
        crf = job.crf if job.crf is not None else quality.default
        further = [_from_key_frame(job, window, first.end) for window in further_windows(plan.frame_count, first.end)]
        assert self._plain is not None
        plain = [self._plain, *(self._encode(job, None, window) for window in further)]
        ours = [self._encode(job, plan, window) for window in (first, *further)]
        frames = first.frames + sum(window.frames for window in further)
        files = self._workers.results([*plain, *ours], _counted(on_progress, 0, 2 * frames))
        starts, others = [window.start for window in further], (files[len(plain) + 1 :], files[1 : len(plain)])
        self.pairs = tuple(map(WindowPair, starts, *others))
        plain_sizes = [packet_sizes(window) for window in files[: len(plain)]]
        size = _size_of(files[len(plain) :], plan, job.keyint)
        octaves = math.log2(size / estimated_size(plain_sizes, plan.frame_count, _key_frames(plan, job.keyint), job.keyint))
        usual = quality.usual_octaves(crf) * plan.policy.offset / DEFAULT_OFFSET if plan.policy.mapping == "attention" else 0.0
        coverage = frames / plan.frame_count
        trust = sample_weight(coverage, 1 + len(further))
        # Windows have as many key frames for their length as a clip of short groups.
        is_short = job.keyint is not None and job.keyint <= FURTHER_FRAMES
        bias = 0.0 if is_short else WINDOW_BIAS * (1 - coverage) * key_frame_excess(plain_sizes)
        expected = trust * (octaves - bias) + (1 - trust) * usual
        correction = _limited(quality.per_octave * expected)
        # Where a limit of the peak rate holds, a step saves nothing: that would not be a measure of what it saves elsewhere.
        if abs(correction) > SURE_CORRECTION and job.vbv is None:
            again = [self._encode(job.corrected(correction), plan, window) for window in (first, *further)]
            repeated = self._workers.results(again, _counted(on_progress, 2 * frames, 3 * frames))
            saved = math.log2(size / _size_of(repeated, plan, job.keyint))
            if saved * correction > 0:
                correction = _limited(correction / saved * expected)
        return SizeSample(frames, round(2**octaves, 4), round(2**expected, 4), round(correction, 2))

    def _encode(self, job: EncodeJob, plan: RoiPlan | None, window: Part) -> Task[Path]:
        folder = self._folder / f"sample{self._numbers}"
        folder.mkdir()
        self._numbers += 1
        return self._workers.start(partial(encode_part, job, plan, window, folder))


def _counted(on_progress: OnProgress | None, before: int, total: int) -> OnFrame | None:
    """Reports progress of encodes after ``before`` frames of earlier ones."""
    if on_progress is None:
        return None
    return lambda done: on_progress(min(before + done, total), total)


def first_window(frames: int | None) -> Part:
    """The first window of a clip of so many frames; ``None`` where their number is not known."""
    return Part(0, FIRST_FRAMES if frames is None or frames > SHORT_FRAMES else max(1, frames))


def _limited(correction: float) -> float:
    return min(max(correction, -MAX_CORRECTION), MAX_CORRECTION)


def _size_of(windows: Sequence[Path], plan: RoiPlan, keyint: int | None) -> float:
    """Estimate the size of the clip of ``plan`` from the files of its windows."""
    return estimated_size([packet_sizes(window) for window in windows], plan.frame_count, _key_frames(plan, keyint), keyint)


def _key_frames(plan: RoiPlan, keyint: int | None) -> int:
    if keyint is not None:
        return math.ceil(plan.frame_count / keyint)
    return len(plan.cuts) + math.ceil(plan.frame_count / KEY_FRAME_DISTANCE)


def key_frame_excess(windows: Sequence[Sequence[int]]) -> float:
    """How much larger the key frame of a window is than the others, 0..1: one minus the ratio of their mean packet sizes."""
    others = [size for window in windows for size in window[1:]]
    key = sum(window[0] for window in windows) / len(windows)
    return max(0.0, 1 - sum(others) / len(others) / key) if others else 0.0


def further_windows(frame_count: int, first: int) -> list[Part]:
    """The windows of a clip of ``frame_count`` frames after the first one, which has ``first`` frames.

    The clip is divided into equal intervals, one for each window. The first window begins the first interval; each further one is
    in the middle of its own.
    """
    if frame_count <= max(SHORT_FRAMES, first + FURTHER_FRAMES):
        return []
    is_small = frame_count <= SMALL_FRAMES
    count = 3 if is_small else min(max(frame_count // CLIP_FRAMES_PER_WINDOW, 1), MOST_WINDOWS)
    frames = 2 * FURTHER_FRAMES if is_small else FURTHER_FRAMES
    length = frame_count / (count + 1)
    middles = (int((i + 1.5) * length) for i in range(count))
    starts = [min(max(middle - frames // 2, first), frame_count - frames) for middle in middles]
    return [Part(start, start + frames) for start in starts]


def _from_key_frame(job: EncodeJob, window: Part, earliest: int) -> Part:
    """Move ``window`` back to the source's key frame before it, so that no frame is decoded in vain.

    It stays where it is if that key frame is before the frame ``earliest``, or cannot be found.
    """
    if job.frame_pts is None or not job.can_seek or job.retimed is not None:
        return window
    pts = key_frame_before(job.clip, int(job.frame_pts[window.start]))
    start = -1 if pts is None else int(np.searchsorted(job.frame_pts, pts))
    return Part(start, start + window.frames) if earliest <= start < window.start else window


def sample_weight(coverage: float, windows: int) -> float:
    """The weight, 0..1, of the size ratio of ``windows`` that cover this share of the clip, against that of the usual ratio."""
    variance = WINDOW_VARIANCE * max(0.0, 1 - coverage) / windows
    return CLIP_VARIANCE / (CLIP_VARIANCE + variance)


def estimated_size(windows: Sequence[Sequence[int]], frame_count: int, key_frames: int, keyint: int | None = None) -> float:
    """Estimate the size in bytes of a clip of ``frame_count`` frames from the packet sizes of its ``windows``.

    Each window begins with a key frame, and has one at every ``keyint`` frames (``None``: no other). The windows have equal weight,
    whatever their length. A window of the whole clip has its size.
    """
    if len(windows[0]) == frame_count:
        return float(sum(windows[0]))
    step = keyint or max(map(len, windows))
    keys = [[size for i, size in enumerate(window) if i % step == 0] for window in windows]
    rest = [[size for i, size in enumerate(window) if i % step] for window in windows]
    key = sum(sum(window) / len(window) for window in keys) / len(windows)
    longer = [window for window in rest if window]
    other = sum(sum(window) / len(window) for window in longer) / len(longer) if longer else 0.0
    return key * key_frames + other * max(0, frame_count - key_frames)


def proven_frames(plain: Path, plan: RoiPlan) -> int:
    """Number of frames, from the first, that a proof may compare with ``plain``, the plain encode of a first window.

    Those without enough following frames in ``plain`` are left out: encoders choose a frame's quality by the frames that follow.
    """
    return plan.frame_count if len(packet_sizes(plain)) >= plan.frame_count else PROVEN_FRAMES
