"""The saliency track, from which plans are made: all maps of a clip on the block grid, and its time axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.source.stamps import CLOCKS

ACTIVITY_STEPS = 24
"""Codes per doubling of activity: one code is 2.9 %."""


class Reducer(Protocol):
    """Reduces the maps of each segment to one, on the host or on the GPU that stores them.

    Every implementation gives the results of reduce.py, bit for bit.
    """

    def reduce_saliency(
        self, track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
    ) -> NDArray[np.float32]: ...

    def reduce_gaze(
        self, track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
    ) -> NDArray[np.float32]: ...

    def reduce_activity(self, track: SaliencyTrack, starts: NDArray[np.int64]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class SaliencyTrack:
    """Saliency, gaze and activity of each sample, and the clip's time axis; in host memory.

    Produced by `analyse_clip`, kept in the sidecar, consumed by `build_roi_plan`. It takes three bytes per block and map, two
    without gaze: an hour of 1080p at 4 maps a second takes 353 MB, of 480p 70 MB. Raises `ValueError` when its fields contradict
    each other.
    """

    saliency: NDArray[np.uint8]
    """``[samples, rows, cols]``, mean saliency of each 16x16 block; 0..255 encodes 0..1."""
    activity: NDArray[np.uint8]
    """``[samples, rows, cols]``, activity of each block as `encode_activity` writes it."""
    sample_frame: NDArray[np.int64]
    """``[samples]``, frame number of each map, strictly rising."""
    motion: NDArray[np.float32]
    """``[samples]``, mean absolute luma difference, 0..1, to the sample before; the first is 0."""
    frame_count: int
    """Number of frames decoded; an encode must have the same number."""
    cuts: tuple[int, ...] = ()
    """The first frame of each scene but the first, rising."""
    frame_pts: NDArray[np.int64] | None = None
    """``[frames]``, presentation time stamps in ``time_base``, strictly rising; ``None`` if the source has none that rise."""
    time_base: Fraction = Fraction(1)
    """Unit of ``frame_pts``, in seconds."""
    clock: str = "source"
    """Where ``frame_pts`` come from, one of `CLOCKS`; ``counted`` where there are none."""
    gaze: NDArray[np.uint8] | None = None
    """``[samples, rows, cols]``, mean gaze of each block as `encode_gaze` writes it; ``None`` where the model has no gaze map."""
    attention: AttentionCurve | None = None
    """The curve of the model that made the maps; ``None`` where it brings none."""
    at_key_frames: bool = False
    """Whether the samples are key frames. Each then applies from its own frame on: encoders put key frames at cuts."""
    reducer: Reducer | None = field(default=None, repr=False, compare=False)
    """Reduces a copy of the maps that a GPU stores; ``None`` where the host has the only copy."""

    def __post_init__(self) -> None:
        samples = len(self.sample_frame)
        if self.saliency.ndim != 3 or len(self.saliency) != samples or self.activity.shape != self.saliency.shape or not samples:
            raise ValueError(f"saliency {self.saliency.shape} and activity {self.activity.shape} of {samples} samples")
        if self.gaze is not None and self.gaze.shape != self.saliency.shape:
            raise ValueError(f"gaze {self.gaze.shape} beside saliency {self.saliency.shape}")
        if self.sample_frame[0] < 0 or self.sample_frame[-1] >= self.frame_count or np.any(np.diff(self.sample_frame) <= 0):
            raise ValueError("the samples must rise and lie within the clip")
        if self.motion.shape != (samples,) or not np.isfinite(self.motion).all() or self.motion.min() < 0:
            raise ValueError("each sample needs a motion of 0 or more")
        edges = (0, *self.cuts, self.frame_count)
        if any(b <= a for a, b in itertools.pairwise(edges)):
            raise ValueError("the cuts must rise and lie within the clip")
        if self.frame_pts is not None and (len(self.frame_pts) != self.frame_count or np.any(np.diff(self.frame_pts) <= 0)):
            raise ValueError("each frame needs a time stamp after the one before")
        if self.time_base <= 0:
            raise ValueError(f"a time base of {self.time_base}")
        if self.clock not in CLOCKS:
            raise ValueError(f"a clock that is {self.clock[:20]!r}")

    @property
    def seek_pts(self) -> NDArray[np.int64] | None:
        """``frame_pts`` where they are the stamps in the file, so that the file can be searched for them; else ``None``."""
        return self.frame_pts if self.clock == "source" else None

    def saliency_maps(self) -> NDArray[np.float32]:
        """``[samples, rows, cols]`` in 0..1."""
        return decode_saliency(self.saliency)

    def sample_starts(self) -> NDArray[np.int64]:
        """``[samples]``, the first frame to which each sample applies; the first is 0.

        Each frame takes the nearest sample of its scene, or the key frame before it.
        """
        if self.at_key_frames:
            return np.concatenate(([0], self.sample_frame[1:])).astype(np.int64)
        starts = (self.sample_frame[:-1] + self.sample_frame[1:] + 1) // 2
        for i, (before, after) in enumerate(zip(self.sample_frame[:-1], self.sample_frame[1:], strict=True)):
            between = self._cuts_in(int(before), int(after))
            if between:
                starts[i] = between[0]
        return np.concatenate(([0], starts)).astype(np.int64)

    def _cuts_in(self, before: int, after: int) -> tuple[int, ...]:
        """The cuts in the frames ``(before, after]``."""
        low, high = np.searchsorted(self.cuts, (before, after), side="right")
        return self.cuts[low:high]

    def after_cut(self) -> NDArray[np.bool_]:
        """``[samples]``, whether a sample is the first of its scene; its change then comes from the cut, not from motion."""
        scene = np.searchsorted(self.cuts, self.sample_frame, side="right")
        return np.concatenate(([True], scene[1:] != scene[:-1]))


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive samples of a track that is still growing; in host memory. The fields are those of `SaliencyTrack`."""

    sample_frame: NDArray[np.int64]
    saliency: NDArray[np.uint8]
    activity: NDArray[np.uint8]
    motion: NDArray[np.float32]
    gaze: NDArray[np.uint8] | None = None
    attention: AttentionCurve | None = None


def join_samples(parts: Sequence[Samples]) -> Samples:
    """Concatenate ``parts`` of one model, at least one, in the order of their frames."""
    gaze = [part.gaze for part in parts if part.gaze is not None]
    return Samples(
        sample_frame=np.concatenate([part.sample_frame for part in parts]),
        saliency=np.concatenate([part.saliency for part in parts]),
        activity=np.concatenate([part.activity for part in parts]),
        motion=np.concatenate([part.motion for part in parts]),
        gaze=np.concatenate(gaze) if gaze else None,
        attention=parts[0].attention,
    )


def encode_saliency(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Encode saliency in 0..1 as bytes 0..255."""
    encoded: NDArray[np.uint8] = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return encoded


def decode_saliency(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The inverse of `encode_saliency`."""
    decoded: NDArray[np.float32] = encoded.astype(np.float32) / np.float32(255)
    return decoded


def encode_gaze(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Encode gaze ``G`` in 0..1 as ``round(255 * sqrt(G))``: most blocks lie below 0.03, where what is looked at is decided."""
    encoded: NDArray[np.uint8] = np.clip(np.rint(np.sqrt(values) * 255), 0, 255).astype(np.uint8)
    return encoded


def decode_gaze(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The inverse of `encode_gaze`."""
    decoded: NDArray[np.float32] = (np.square(np.arange(256, dtype=np.float64) / 255)).astype(np.float32)[encoded]
    return decoded


def encode_activity(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Encode activity ``v`` of 1/255 or more (see activity.py) as ``round(24 * log2(255 * v))``, 0..255."""
    encoded: NDArray[np.uint8] = np.clip(np.rint(ACTIVITY_STEPS * np.log2(np.maximum(values * 255, 1))), 0, 255).astype(np.uint8)
    return encoded


def decode_activity(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Decode the bytes of `encode_activity` to activity, a float of 1/255 or more."""
    table = np.exp2(np.arange(256, dtype=np.float64) / ACTIVITY_STEPS) / 255
    decoded: NDArray[np.float32] = table.astype(np.float32)[encoded]
    return decoded
