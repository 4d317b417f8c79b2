"""A live source being looked at: the newest frame is given to the model a few times a second, and the last maps are kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.activity import activity_map
from gpu_saliency.analysis.track import SaliencyTrack, encode_activity, encode_saliency
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.grid import block_mean
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.preview.live.feed import LiveFeed, Newest
from gpu_saliency.preview.session import Planner, View
from gpu_saliency.source.shrink import Shrinker

WINDOW_SECONDS = 10
"""Of the past as much is planned for; what was before is forgotten."""
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32) / 255
_LEAST_VIEWED_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Map:
    number: int
    saliency: NDArray[np.uint8]
    activity: NDArray[np.uint8]
    motion: float


class LiveSession:
    """Use it as a context manager; its thread ends with it. Runs on the CPU."""

    def __init__(self, feed: LiveFeed, model: SaliencyModel, rate: Fraction) -> None:
        """``rate`` is how many maps a second are made, if the machine can."""
        self.feed, self.clip, self.name = feed, feed.clip, feed.name
        self.planner = Planner(feed.clip)
        self._model, self._pause = model, float(1 / rate)
        self._maps: deque[_Map] = deque(maxlen=max(2, round(WINDOW_SECONDS * rate)))
        self._lock = threading.Lock()
        self._added = self._seen = 0
        self._error: GpuSaliencyError | None = None
        self._view = View(0, None, finished=False, live=feed.words())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._analyse, name="analysis", daemon=True)
        aspect = self.clip.width * self.clip.sample_aspect_ratio / self.clip.height
        self._size = model.input_size(aspect if self.clip.rotation % 180 == 0 else 1 / aspect)
        self._previous: NDArray[np.float32] | None = None

    def __enter__(self) -> LiveSession:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def view(self) -> View:
        """What is known now; a new object where a map, or word of the source, has come."""
        with self._lock:
            words = self.feed.words()
            # The version is that of the maps; a change of words alone makes a view of a new version too.
            if self._added != self._seen or words != self._view.live or self._error is not self._view.error:
                self._seen = self._added
                track, first = self._track()
                self._view = View(self._view.version + 1, track, finished=False, error=self._error, first_frame=first, live=words)
            return self._view

    def _track(self) -> tuple[SaliencyTrack | None, int]:
        maps = list(self._maps)
        if not maps:
            return None, 0
        first = maps[0].number
        numbers = np.array([one.number - first for one in maps], np.int64)
        track = SaliencyTrack(
            saliency=np.stack([one.saliency for one in maps]),
            activity=np.stack([one.activity for one in maps]),
            sample_frame=numbers,
            motion=np.array([one.motion for one in maps], np.float32),
            frame_count=int(numbers[-1]) + 1,
        )
        return track, first

    def _analyse(self) -> None:
        shrink = Shrinker(self._size.content, self.clip.rotation)
        last = -1
        while not self._closing.is_set():
            began = time.monotonic()
            newest = self.feed.wait_for(last, _LEAST_VIEWED_SECONDS)
            if newest is None:
                continue
            last = newest.number
            try:
                found = self._look_at(newest, shrink(newest.frame))
            except GpuSaliencyError as error:
                self._error = error
                return
            with self._lock:
                self._maps.append(found)
                self._added += 1
            self._closing.wait(max(0.0, began + self._pause - time.monotonic()))

    def _look_at(self, newest: Newest, picture: NDArray[np.uint8]) -> _Map:
        maps = self._model(normalise(picture[None], self._size.padded))
        luma = np.asarray(picture @ _LUMA, np.float32)
        activity = activity_map(luma, self._previous)
        motion = 0.0 if self._previous is None else float(np.abs(luma - self._previous).mean())
        self._previous = luma
        return _Map(newest.number, encode_saliency(self._blocks(maps[0])), encode_activity(self._blocks(activity)), motion)

    def _blocks(self, upright: NDArray[np.float32]) -> NDArray[np.float32]:
        """Upright, padded ``[H, W]`` to the coded frame's ``[rows, cols]``."""
        width, height = self._size.content
        coded = np.rot90(upright[:height, :width], -self.clip.rotation // 90)
        return block_mean(coded, self.clip.width, self.clip.height)
