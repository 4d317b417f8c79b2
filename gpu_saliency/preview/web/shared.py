"""`Shared`: the state that all viewers of one preview share, that is, the session and the threads that decode and plan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gpu_saliency.errors import Spelling
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.moment import MomentLookup
from gpu_saliency.preview.planner import Session, View
from gpu_saliency.preview.web.wire import plan_message, timeline_message


@dataclass(slots=True)
class Shared:
    """The state shared by all viewers. One thread decodes and one plans, so that many viewers cannot use all cores."""

    session: Session
    size: tuple[int, int]
    """Width and height of the pictures in pixels."""
    policy: RoiPolicy
    """The initial policy of each viewer."""
    encode_command: Callable[[RoiPolicy], str]
    """Returns the command line that encodes with a policy."""
    spell: Spelling
    """Spells the settings in error messages."""
    decoding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "frames"))
    planning: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "plans"))
    viewers: int = 0
    _timeline: tuple[int, str] | None = None
    """Version of a view, and its `timeline_message`."""

    async def timeline(self, view: View) -> str:
        """The text of `timeline_message`, made once for each view, in the planning thread."""
        return await asyncio.get_running_loop().run_in_executor(self.planning, self._make_timeline, view)

    def _make_timeline(self, view: View) -> str:
        if self._timeline is None or self._timeline[0] != view.version:
            self._timeline = (view.version, json.dumps(timeline_message(self.session.clip, view, self.spell)))
        return self._timeline[1]

    async def plan(self, view: View, policy: RoiPolicy) -> tuple[RoiPlan, MomentLookup, str]:
        """Plan in the planning thread; returns the plan, a lookup for its frames and the text of `plan_message`.

        Raises `UsageError`.
        """
        return await asyncio.get_running_loop().run_in_executor(self.planning, self._make_plan, view, policy)

    def _make_plan(self, view: View, policy: RoiPolicy) -> tuple[RoiPlan, MomentLookup, str]:
        assert view.track is not None
        plan = self.session.planner.plan(view, policy)
        text = json.dumps(plan_message(plan, policy, self.encode_command(policy)))
        return plan, MomentLookup(view.track, plan, self.session.clip.frame_rate, view.first_frame), text

    def close(self) -> None:
        self.decoding.shutdown(cancel_futures=True)
        self.planning.shutdown(cancel_futures=True)
