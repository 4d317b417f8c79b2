"""`Planner`, which plans a track while it grows, and `Session`, the interface of the analyses that make such tracks."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Protocol

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.clip import Clip

_CACHED_PLANS = 16


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot of an analysis, in host memory. Produced by a `Session`, consumed by its viewers."""

    version: int
    """Number of the snapshot; it rises with each new one."""
    track: SaliencyTrack | None
    """The track so far; ``None`` before the first map."""
    finished: bool
    """Whether the track covers the whole clip."""
    error: GpuSaliencyError | None = None
    """The error that ended the analysis early."""
    first_frame: int = 0
    """Number of the track's first frame; above 0 for a live source, which keeps only the last seconds."""
    live: str | None = None
    """State of a live source as text for the user; ``None`` for a clip."""


class Planner:
    """Makes plans from views; caches the latest plans. Safe to call from several threads."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.seconds = 0.0
        """Time that the last plan took."""
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[int, RoiPolicy], RoiPlan] = OrderedDict()

    def plan(self, view: View, policy: RoiPolicy) -> RoiPlan:
        """Plan the track of ``view`` with ``policy``. Raises `UsageError`.

        While an analysis runs and has fewer maps than the policy has segments, each map gets its own segment.
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
            while len(self._plans) > _CACHED_PLANS:
                self._plans.popitem(last=False)
        return plan


class Session(Protocol):
    """The analysis of a clip or a live source, shared by all its viewers."""

    clip: Clip
    name: str
    planner: Planner

    def view(self) -> View:
        """The current snapshot; the same object until the analysis has new results."""
        ...
