"""One clip being looked at: its analysis runs in a thread, and plans are made of what is known so far."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.track import SaliencyTrack, Samples
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.growing import GrowingTrack
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally

_KEPT_PLANS = 16
_REFRESH_SECONDS = 0.5
_REFRESH_SHARE = 0.1
"""A growing clip is planned anew at most so often, and in at most this share of the time."""


class _Closed(Exception):  # noqa: N818 - it ends the analysis and is nobody's mistake
    pass


@dataclass(frozen=True, slots=True)
class View:
    """What is known of the clip at one time; lives on the host."""

    version: int
    """Rises with each new view."""
    track: SaliencyTrack | None
    """``None`` before the first map."""
    finished: bool
    """Whether the track is of the whole clip."""
    error: GpuSaliencyError | None = None
    """What ended the analysis early."""
    first_frame: int = 0
    """Number of the track's first frame: of a live source only the last seconds are known."""
    live: str | None = None
    """How a live source does; ``None`` of a clip."""


class Planner:
    """Plans of what is known of a clip; the latest few are kept. Many threads may ask."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.seconds = 0.0
        """That the last plan took."""
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[int, RoiPolicy], RoiPlan] = OrderedDict()

    def plan(self, view: View, policy: RoiPolicy) -> RoiPlan:
        """The plan of what ``view`` knows. Nothing is decoded. Raises `UsageError`.

        As long as there are fewer maps than segments were asked for, each map has its own.
        """
        assert view.track is not None
        if not view.finished and policy.segments.isdigit():
            policy = replace(policy, segments=str(min(int(policy.segments), len(view.track.sample_frame))))
        key = (view.version, policy)
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
        started = time.perf_counter()
        plan = plan_track(view.track, (self.clip.width, self.clip.height), policy)
        with self._lock:
            self.seconds = time.perf_counter() - started
            self._plans[key] = plan
            while len(self._plans) > _KEPT_PLANS:
                self._plans.popitem(last=False)
        return plan


class Looked(Protocol):
    """What is being looked at: a clip, or a live source."""

    clip: Clip
    name: str
    planner: Planner

    def view(self) -> View:
        """What is known now; the same object until there is something new."""
        ...


class PreviewSession:
    """Shared by all who look at one clip. Use it as a context manager; its thread ends with it."""

    def __init__(self, clip: Clip, settings: AnalysisSettings, sidecar: Path | None = None) -> None:
        self.clip, self.name = clip, clip.path.name
        self.planner = Planner(clip)
        self._settings, self._sidecar = settings, sidecar
        self._live: GrowingTrack | None = GrowingTrack()
        self._lock = threading.Lock()
        self._view = View(0, None, finished=False)
        self._viewed = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._analyse, name="analysis", daemon=True)

    def __enter__(self) -> PreviewSession:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _analyse(self) -> None:
        assert self._live is not None
        live = self._live

        def add(samples: Samples, tally: DecodeTally | None) -> None:
            live.add(samples, tally)
            if self._closing.is_set():
                raise _Closed

        try:
            found, _ = load_saliency_sidecar(self.clip, self._settings, self._sidecar, on_samples=add)
        except _Closed:
            return
        except GpuSaliencyError as error:
            self._end(live.track(), error)
        except Exception as error:
            self._end(live.track(), GpuSaliencyError(f"a defect of this program: {type(error).__name__}: {error}"))
        else:
            self._end(found.track, None)

    def _end(self, track: SaliencyTrack | None, error: GpuSaliencyError | None) -> None:
        with self._lock:
            self._live = None
            self._view = View(self._view.version + 1, track, finished=error is None, error=error)

    def view(self) -> View:
        """What is known now; the same object until there is something new, and until that is due."""
        with self._lock:
            now = time.monotonic()
            pause = max(_REFRESH_SECONDS, self.planner.seconds / _REFRESH_SHARE) if self._view.track is not None else 0.0
            if self._live is not None and now - self._viewed >= pause:
                known = 0 if self._view.track is None else len(self._view.track.sample_frame)
                if self._live.samples > known:
                    self._view = View(self._view.version + 1, self._live.track(), finished=False)
                self._viewed = now
            return self._view

    @property
    def frames_known(self) -> int:
        """Frames of the clip of which there are maps."""
        track = self._view.track
        return 0 if track is None else track.frame_count
