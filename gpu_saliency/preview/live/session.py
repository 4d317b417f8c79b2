"""`LiveSession`: analyses a live source. The model runs on the latest frame a few times a second; the last maps are kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction

import numpy as np

from gpu_saliency.analysis.recorder import HostRecorder
from gpu_saliency.analysis.track import SaliencyTrack, Samples, join_samples
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.preview.live.reader import LatestFrame, LiveReader
from gpu_saliency.preview.planner import Planner, View
from gpu_saliency.source.decode import FrameBatch
from gpu_saliency.source.shrink import Shrinker

WINDOW_SECONDS = 10
"""Length of the kept track; older maps are dropped."""
_WAIT_SECONDS = 0.2
"""Longest wait for a frame before checking whether the session is closing."""


class LiveSession:
    """The analysis of one live source on the CPU, shared by all its viewers. A context manager: it ends with the block."""

    def __init__(self, reader: LiveReader, model: SaliencyModel, rate: Fraction) -> None:
        """``rate`` is the largest number of maps per second; a slow machine makes fewer."""
        self.reader, self.clip, self.name = reader, reader.clip, reader.name
        self.origin = f"model {model.path.stem}"
        self.planner = Planner(reader.clip)
        self._model, self._interval = model, float(1 / rate)
        self._samples: deque[Samples] = deque(maxlen=max(2, round(WINDOW_SECONDS * rate)))
        self._lock = threading.Lock()
        self._added = self._viewed = 0
        self._error: GpuSaliencyError | None = None
        self._view = View(0, None, finished=False, live=reader.status())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._analyse, name="analysis", daemon=True)
        self._size = model.input_size(self.clip.upright_aspect)
        self._recorder = HostRecorder(self.clip, self._size, model.attention)

    def __enter__(self) -> LiveSession:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def view(self) -> View:
        """The current snapshot; a new object after a new map or a new status of the source."""
        with self._lock:
            status = self.reader.status()
            if self._added != self._viewed or status != self._view.live or self._error is not self._view.error:
                self._viewed = self._added
                track, first = self._track()
                self._view = View(self._view.version + 1, track, finished=False, error=self._error, first_frame=first, live=status)
            return self._view

    def _track(self) -> tuple[SaliencyTrack | None, int]:
        """The track of the kept samples, and the number of its first frame in the source. ``None`` and 0 before the first map."""
        if not self._samples:
            return None, 0
        samples = join_samples(self._samples)
        first = int(samples.sample_frame[0])
        numbers = samples.sample_frame - first
        track = SaliencyTrack(
            saliency=samples.saliency,
            activity=samples.activity,
            sample_frame=numbers,
            motion=samples.motion,
            frame_count=int(numbers[-1]) + 1,
            gaze=samples.gaze,
            attention=samples.attention,
        )
        return track, first

    def _analyse(self) -> None:
        shrink = Shrinker(self._size.content, self.clip.orientation)
        last = -1
        while not self._closing.is_set():
            began = time.monotonic()
            latest = self.reader.wait_for(last, _WAIT_SECONDS)
            if latest is None:
                continue
            last = latest.number
            try:
                samples = self._infer(latest, shrink)
            except GpuSaliencyError as error:
                self._error = error
                return
            with self._lock:
                self._samples.append(samples)
                self._added += 1
            self._closing.wait(max(0.0, began + self._interval - time.monotonic()))

    def _infer(self, latest: LatestFrame, shrink: Shrinker) -> Samples:
        batch = FrameBatch(np.array([latest.number], np.int64), shrink(latest.frame)[None])
        return self._recorder.add(batch, self._model(normalise(batch.rgb, self._size.padded)))
