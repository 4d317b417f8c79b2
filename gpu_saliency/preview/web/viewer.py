"""One browser that looks: it is sent the frame that is due, once it has drawn those before. What it misses is dropped, not kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from gpu_saliency.errors import SourceError, UsageError
from gpu_saliency.plan import RoiPlan, RoiPolicy
from gpu_saliency.preview.moment import Timeline
from gpu_saliency.preview.playhead import Playhead
from gpu_saliency.preview.session import PreviewSession, View
from gpu_saliency.preview.store import FrameStore
from gpu_saliency.preview.web.wire import Command, hello, parse_command, picture_message, plan_message, timeline_message

_AHEAD = 2
"""Pictures on their way to a viewer at most: one being drawn, one being sent."""
_IDLE_SECONDS = 0.25
_MISTAKES = 20
"""What is no command, at most, before a viewer is sent away: our page makes none."""


@dataclass(slots=True)
class Shared:
    """What all viewers of a clip share. One thread decodes and one plans, so that many viewers wait for each other
    instead of taking the whole machine."""

    session: PreviewSession
    store: FrameStore
    policy: RoiPolicy
    analysis: list[str]
    """Arguments of the analysis, for the command that encodes."""
    decoding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "frames"))
    planning: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "plans"))
    viewers: int = 0
    _told: tuple[int, str] | None = None

    async def tell(self, view: View) -> str:
        """The text of `timeline_message`, made once for each view."""
        return await asyncio.get_running_loop().run_in_executor(self.planning, self._tell, view)

    def _tell(self, view: View) -> str:
        if self._told is None or self._told[0] != view.version:
            self._told = (view.version, json.dumps(timeline_message(self.session.clip, view)))
        return self._told[1]

    async def plan(self, view: View, policy: RoiPolicy) -> tuple[RoiPlan, Timeline, str]:
        """The plan, where each frame finds its part of it, and the text of `plan_message`. Raises `UsageError`."""
        return await asyncio.get_running_loop().run_in_executor(self.planning, self._plan, view, policy)

    def _plan(self, view: View, policy: RoiPolicy) -> tuple[RoiPlan, Timeline, str]:
        assert view.track is not None
        clip = self.session.clip
        plan = self.session.plan(view, policy)
        text = json.dumps(plan_message(clip, plan, policy, self.analysis))
        return plan, Timeline(view.track, plan, clip.frame_rate), text

    def close(self) -> None:
        self.decoding.shutdown(cancel_futures=True)
        self.planning.shutdown(cancel_futures=True)
        self.store.close()


class Viewer:
    """Each has a place in the clip and a policy of its own."""

    def __init__(self, socket: WebSocket, shared: Shared) -> None:
        self._socket, self._shared = socket, shared
        self._clip = shared.session.clip
        self._head = Playhead(self._clip)
        self._policy = shared.policy
        self._asked: RoiPolicy | None = shared.policy
        self._changed = asyncio.Event()
        self._plan: RoiPlan | None = None
        self._timeline: Timeline | None = None
        self._view = View(-1, None, finished=False)
        self._on_the_way: list[tuple[int, float]] = []
        self._sent: int | None = None
        self._redraw = True
        self._moved = True
        self._dropped = 0
        self._delay = 0.0
        self._mistakes = 0

    async def run(self) -> None:
        """Until it leaves."""
        await self._socket.accept()
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._show())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            # Whoever is gone is told nothing.
            if error is not None and not isinstance(error, (WebSocketDisconnect, RuntimeError)):
                raise error

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                self._obey(parse_command(message.get("text") or ""))
            except UsageError as error:
                await self._say({"type": "error", "message": str(error)})
            except (ValueError, RecursionError):
                self._mistakes += 1
                if self._mistakes > _MISTAKES:
                    await self._socket.close(1008, "this is not what the page says")
                    return
            self._changed.set()

    def _obey(self, command: Command) -> None:
        now = time.monotonic()
        if command.kind == "ack":
            for number, sent in self._on_the_way:
                if number == command.number:
                    self._on_the_way.remove((number, sent))
                    self._delay = now - sent
                    break
            return
        if command.kind == "policy":
            self._asked = command.policy
            return
        if command.kind == "toggle":
            self._head.toggle(now)
        elif command.kind == "step":
            self._head.step(now, command.number)
        else:
            self._head.seek(now, command.number)
        self._moved = self._redraw = True

    async def _show(self) -> None:
        await self._say(hello(self._clip, self._shared.store.size, self._policy))
        while True:
            self._changed.clear()
            await self._catch_up()
            pause = _IDLE_SECONDS
            if len(self._on_the_way) < _AHEAD:
                await self._send_due()
                if self._head.playing and self._view.track is not None:
                    pause = min(pause, self._head.next_due(self._view.track) - time.monotonic())
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), pause)
            else:
                await asyncio.sleep(0)

    async def _catch_up(self) -> None:
        """Tell what is new of the analysis, and plan again where that or the policy has changed."""
        view = self._shared.session.view()
        asked, self._asked = self._asked, None
        if view.version != self._view.version:
            self._view = view
            await self._socket.send_text(await self._shared.tell(view))
        elif asked is None:
            return
        if view.track is None:
            self._asked = asked
            return
        policy = asked or self._policy
        try:
            self._plan, self._timeline, text = await self._shared.plan(view, policy)
        except UsageError as error:
            await self._say({"type": "error", "message": str(error)})
            return
        self._policy, self._redraw = policy, True
        await self._socket.send_text(text)

    async def _send_due(self) -> None:
        track = self._view.track
        number = 0
        if track is not None:
            number = self._head.frame(time.monotonic(), track, finished=self._view.finished or self._view.error is not None)
        if number == self._sent and not self._redraw:
            return
        if self._sent is not None and self._head.playing and not self._moved and number > self._sent:
            self._dropped += number - self._sent - 1
        pts = None if track is None else track.frame_pts
        loop = asyncio.get_running_loop()
        self._redraw = self._moved = False
        self._sent = number
        try:
            jpeg = await loop.run_in_executor(self._shared.decoding, self._shared.store.jpeg, number, pts)
        except SourceError as error:  # it was moved, or is damaged there
            if self._head.playing:
                self._head.toggle(time.monotonic())
            await self._say({"type": "error", "message": str(error)})
            return
        moment = None if self._timeline is None else self._timeline.at(number)
        facts = {
            "frame": number,
            "seconds": number / float(self._clip.frame_rate),
            "playing": self._head.playing,
            "dropped": self._dropped,
            "delay_ms": round(self._delay * 1000),
        }
        self._on_the_way.append((number, time.monotonic()))
        await self._socket.send_bytes(picture_message(self._clip, moment, self._plan, jpeg, facts))

    async def _say(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message))
