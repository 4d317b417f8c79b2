"""`GrowingTrack`: a saliency track to which one thread appends while other threads read it."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.track import SaliencyTrack, Samples
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.source.decode import DecodeTally

_FIRST_ROOM = 64
"""Number of samples for which memory is allocated first."""


class GrowingTrack:
    """Collects the samples of a running analysis. Uses at most twice the memory of the track."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._room: dict[str, NDArray[np.generic]] = {}
        self._tally: DecodeTally | None = None
        self._attention: AttentionCurve | None = None

    def add(self, samples: Samples, tally: DecodeTally | None) -> None:
        """Append ``samples``; a `SamplesHook`. Clears the track first if their frames restart, as after a `DeviceMemoryError`."""
        with self._lock:
            self._tally, self._attention = tally, samples.attention
            kept = self._room.get("sample_frame")
            if kept is not None and self._count and samples.sample_frame[0] <= kept[self._count - 1]:
                self._count, self._room = 0, {}
            end = self._count + len(samples.sample_frame)
            for name in ("sample_frame", "saliency", "activity", "motion", "gaze"):
                new = getattr(samples, name)
                if new is None:
                    continue  # the model has no gaze map
                kept = self._room.get(name)
                if kept is None or len(kept) < end:
                    # Earlier results of `track` are views of the old array, which is not changed any more.
                    grown = np.empty((max(_FIRST_ROOM, 2 * end), *new.shape[1:]), new.dtype)
                    if kept is not None:
                        grown[: self._count] = kept[: self._count]
                    self._room[name] = kept = grown
                kept[self._count : end] = new
            self._count = end

    @property
    def samples(self) -> int:
        """Number of samples added so far."""
        return self._count

    def track(self) -> SaliencyTrack | None:
        """The track of the samples so far; its last frame is the last sample. ``None`` before the first sample."""
        with self._lock:
            if not self._count:
                return None
            parts = {name: kept[: self._count] for name, kept in self._room.items()}
            frames = int(parts["sample_frame"][-1]) + 1
            tally = self._tally
            return SaliencyTrack(
                **parts,  # type: ignore[arg-type]
                frame_count=frames,
                cuts=() if tally is None else tuple(cut for cut in tally.scene.cuts() if cut < frames),
                frame_pts=None if tally is None else _rising(tally, frames),
                clock="source" if tally is None or not tally.restarts else "continued",
                time_base=Fraction(1) if tally is None else tally.time_base,
                attention=self._attention,
                at_key_frames=tally is not None and tally.key_frames is not None,
            )


def _rising(tally: DecodeTally, frames: int) -> NDArray[np.int64] | None:
    # A copy: an array of the standard library cannot grow while numpy holds a view of its buffer.
    pts = np.frombuffer(tally.pts[:frames].tobytes(), np.int64)
    return pts if len(pts) == frames and not np.any(np.diff(pts) <= 0) else None
