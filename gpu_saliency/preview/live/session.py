"""`LiveSession`: analyses a live source. The model runs on the latest frame a few times a second; the last maps are kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction

from gpu_saliency.analysis.device import Device, LiveSample, Model
from gpu_saliency.analysis.track import SaliencyTrack, join_samples
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.preview.live.reader import LiveReader
from gpu_saliency.preview.planner import Planner, View

WINDOW_SECONDS = 10
"""Length of the kept track; older maps are dropped."""
_WAIT_SECONDS = 0.2
"""Longest wait for a frame before checking whether the session is closing."""


class LiveSession:
    """The analysis of one live source, shared by all its viewers. A context manager: it ends with the block."""

    def __init__(self, reader: LiveReader, device: Device, model: Model, rate: Fraction) -> None:
        """``model`` is loaded on ``device``. ``rate`` is the largest number of maps per second; a slow machine makes fewer."""
        self.reader, self.clip, self.name = reader, reader.clip, reader.name
        self.origin = f"model {model.describe()['name']}"
        self.planner = Planner(reader.clip)
        self._interval = float(1 / rate)
        self._samples: deque[LiveSample] = deque(maxlen=max(2, round(WINDOW_SECONDS * rate)))
        self._lock = threading.Lock()
        self._added = self._viewed = 0
        self._error: GpuSaliencyError | None = None
        self._view = View(0, None, finished=False, live=reader.status())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._analyse, name="analysis", daemon=True)
        self._run = device.start_live(self.clip, model)

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
                try:
                    track, first = self._track()
                except GpuSaliencyError as error:  # the GPU failed between two maps
                    self._error, track, first = error, self._view.track, self._view.first_frame
                self._view = View(self._view.version + 1, track, finished=False, error=self._error, first_frame=first, live=status)
            return self._view

    def _track(self) -> tuple[SaliencyTrack | None, int]:
        """The track of the kept samples, and the number of its first frame in the source. ``None`` and 0 before the first map."""
        if not self._samples:
            return None, 0
        samples = join_samples([one.samples for one in self._samples])
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
            reducer=self._run.reducer(self._samples),
        )
        return track, first

    def _analyse(self) -> None:
        last = -1
        while not self._closing.is_set():
            began = time.monotonic()
            latest = self.reader.wait_for(last, _WAIT_SECONDS)
            if latest is None:
                continue
            last = latest.number
            try:
                sample = self._run.add(latest.number, latest.frame)
            except GpuSaliencyError as error:
                self._error = error
                return
            with self._lock:
                self._samples.append(sample)
                self._added += 1
            self._closing.wait(max(0.0, began + self._interval - time.monotonic()))
