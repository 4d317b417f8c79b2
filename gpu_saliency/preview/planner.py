"""`Planner`, which plans a track while it grows, and `Session`, the interface of the analyses that make such tracks."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Protocol

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.plan.share import find_share, looked_at, plain_share_of, share_of
from gpu_saliency.preview.dials import Dials
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
    sidecar: Sidecar | None = None
    """The sidecar of the finished analysis of a clip."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a view, and the share of the modelled bits that it gives the most looked-at quarter of the blocks."""

    plan: RoiPlan
    policy: RoiPolicy
    """The policy asked for, with the strength that was found if a share was asked for."""
    share: float
    """0..1."""
    plain_share: float
    """The same share of a plain encode."""


class Planner:
    """Makes plans from views; caches the latest plans. Safe to call from several threads."""

    def __init__(self, clip: Clip, *, per_map: bool = False) -> None:
        """``per_map`` is that of the encode's channel (`plan_track`)."""
        self.clip = clip
        self.seconds = 0.0
        """Time that the last plan took."""
        self._per_map = per_map
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[int, RoiPolicy, float | None], Planned] = OrderedDict()

    def plan(self, view: View, dials: Dials) -> Planned:
        """Plan the track of ``view``. Raises `UsageError`, also for a share of the bits that no strength gives.

        While an analysis runs and has fewer maps than the policy has segments, each map gets its own segment; and the strength is
        that of the nearest share.
        """
        assert view.track is not None
        key = (view.version, dials.policy, dials.salient_bits)
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
        started = time.perf_counter()
        planned = self._make(view, view.track, dials)
        with self._lock:
            self.seconds = time.perf_counter() - started
            self._plans[key] = planned
            while len(self._plans) > _CACHED_PLANS:
                self._plans.popitem(last=False)
        return planned

    def _make(self, view: View, track: SaliencyTrack, dials: Dials) -> Planned:
        policy, wanted = dials.policy, dials.salient_bits
        count = len(track.sample_frame)

        def make_plan(policy: RoiPolicy) -> RoiPlan:
            if not view.finished and policy.segments.isdigit():
                policy = replace(policy, segments=str(min(int(policy.segments), count)))
            return plan_track(track, (self.clip.width, self.clip.height), policy, per_map=self._per_map)

        if wanted is not None:
            policy = replace(policy, offset=find_share(make_plan, track, policy, wanted, nearest=not view.finished).offset)
        plan = make_plan(policy)
        chosen = looked_at(track, plan)
        return Planned(plan, policy, share_of(plan, chosen), plain_share_of(plan, chosen))


class Session(Protocol):
    """The analysis of a clip or a live source, shared by all its viewers."""

    clip: Clip
    name: str
    origin: str
    """The model or the given maps, for the user."""
    planner: Planner

    def view(self) -> View:
        """The current snapshot; the same object until the analysis has new results."""
        ...
