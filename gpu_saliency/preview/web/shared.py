"""`Shared`: the state that all viewers of one preview share, that is, the session and the threads that decode and plan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from gpu_saliency.errors import Spelling
from gpu_saliency.preview.dials import Dials
from gpu_saliency.preview.estimator import Estimator
from gpu_saliency.preview.measuring import Measuring
from gpu_saliency.preview.moment import MomentLookup
from gpu_saliency.preview.planner import Planned, Session, View
from gpu_saliency.preview.web.pictures import COMPARED_QUANTISER, COMPARED_SIDE, JpegEncoder
from gpu_saliency.preview.web.sound import SoundStore
from gpu_saliency.preview.web.wire import plan_file, plan_message, timeline_message


@dataclass(slots=True)
class Shared:
    """The state shared by all viewers. One thread decodes and one plans, so that many viewers cannot use all cores."""

    session: Session
    size: tuple[int, int]
    """Width and height of the pictures in pixels."""
    start: Dials
    """The initial dials of each viewer."""
    encode_command: Callable[[Dials], tuple[str, str]]
    """Returns the command line that encodes with the dials, and a config file with them."""
    spell: Spelling
    """Spells the settings in error messages."""
    estimator: Estimator | None = None
    """Makes trial encodes; ``None`` for a live source, which cannot be encoded twice."""
    sound: SoundStore | None = None
    """The sound of the clip; ``None`` if it has none, and for a live source."""
    auto: bool = False
    """Whether each page begins with the strength that trial encodes find."""
    decoding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "frames"))
    planning: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "plans"))
    sounding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "sound"))
    encoding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "trials"))
    measurings: set[Measuring] = field(default_factory=set)
    """Those of the viewers that are connected."""
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

    @contextmanager
    def measuring(self) -> Iterator[Measuring | None]:
        """Trial encodes for one viewer, cancelled at the end of the block; ``None`` for a live source."""
        if self.estimator is None:
            yield None
            return
        draw = JpegEncoder(self.session.clip, COMPARED_SIDE, COMPARED_QUANTISER)
        measuring = Measuring(self.estimator, self.encoding, draw)
        self.measurings.add(measuring)
        try:
            yield measuring
        finally:
            measuring.cancel()
            self.measurings.discard(measuring)

    async def plan(self, view: View, dials: Dials) -> tuple[Planned, MomentLookup, str]:
        """Plan in the planning thread; returns the plan, a lookup for its frames and the text of `plan_message`.

        Raises `UsageError`.
        """
        return await asyncio.get_running_loop().run_in_executor(self.planning, self._make_plan, view, dials)

    def _make_plan(self, view: View, dials: Dials) -> tuple[Planned, MomentLookup, str]:
        assert view.track is not None
        planned = self.session.planner.plan(view, dials)
        settled = replace(dials, policy=planned.policy)
        text = json.dumps(plan_message(planned, dials, *self.encode_command(settled)))
        return planned, MomentLookup(view.track, planned.plan, self.session.clip.frame_rate, view.first_frame), text

    async def plan_file(self, planned: Planned) -> str:
        """The text of `plan_file`, made in the planning thread."""
        return await asyncio.get_running_loop().run_in_executor(self.planning, plan_file, self.session, planned)

    async def sound_piece(self, number: int, view: View) -> bytes:
        """A piece of the sound (`SoundStore`). Raises `SourceError`."""
        assert self.sound is not None
        track = view.track
        pts = None if track is None else track.seek_pts
        origin = 0.0 if track is None or pts is None or not len(pts) else float(int(pts[0]) * track.time_base)
        return await asyncio.get_running_loop().run_in_executor(self.sounding, self.sound.piece, number, origin)

    def close(self) -> None:
        """End the threads; waits until cancelled trial encodes have removed their files."""
        for measuring in self.measurings:
            measuring.cancel()
        self.encoding.shutdown(cancel_futures=True)
        self.sounding.shutdown(cancel_futures=True)
        self.decoding.shutdown(cancel_futures=True)
        self.planning.shutdown(cancel_futures=True)
