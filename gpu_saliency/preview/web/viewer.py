"""One browser that looks: it is sent the frame that is due, once it has drawn those before. What it misses is dropped, not kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from gpu_saliency.errors import SourceError, UsageError
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.moment import Timeline
from gpu_saliency.preview.session import Looked, View
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

    session: Looked
    size: tuple[int, int]
    """Width and height of the pictures in pixels."""
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
        plan = self.session.planner.plan(view, policy)
        text = json.dumps(plan_message(clip, plan, policy, self.analysis))
        return plan, Timeline(view.track, plan, clip.frame_rate, view.first_frame), text

    def close(self) -> None:
        self.decoding.shutdown(cancel_futures=True)
        self.planning.shutdown(cancel_futures=True)


class Screen(Protocol):
    """What a viewer looks at, with a place of its own."""

    @property
    def playing(self) -> bool: ...

    def obey(self, command: Command) -> None:
        """``toggle``, ``step`` or ``seek``."""
        ...

    def due(self, view: View) -> Due:
        """The frame that is due."""
        ...

    def due_in(self, view: View) -> float:
        """Seconds until another may be."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """A frame that is due."""

    number: int
    jpeg: Callable[[], bytes]
    """Makes its picture, in a thread that may take its time. Raises `SourceError`."""
    facts: dict[str, Any] = field(default_factory=dict)


class Viewer:
    """Each has a screen and a policy of its own."""

    def __init__(self, socket: WebSocket, shared: Shared, screen: Screen) -> None:
        self._socket, self._shared, self._screen = socket, shared, screen
        self._clip = shared.session.clip
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
        if command.kind == "ack":
            for number, sent in self._on_the_way:
                if number == command.number:
                    self._on_the_way.remove((number, sent))
                    self._delay = time.monotonic() - sent
                    break
            return
        if command.kind == "policy":
            self._asked = command.policy
            return
        self._screen.obey(command)
        self._moved = self._redraw = True

    async def _show(self) -> None:
        session = self._shared.session
        live = session.view().live is not None
        await self._say(hello(session.clip, session.name, self._shared.size, self._policy, live=live))
        while True:
            self._changed.clear()
            await self._catch_up()
            pause = _IDLE_SECONDS
            if len(self._on_the_way) < _AHEAD:
                await self._send_due()
                if self._screen.playing:
                    pause = min(pause, self._screen.due_in(self._view))
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
        due = self._screen.due(self._view)
        if due.number == self._sent and not self._redraw:
            return
        if self._sent is not None and self._screen.playing and not self._moved and due.number > self._sent:
            self._dropped += due.number - self._sent - 1
        self._redraw = self._moved = False
        self._sent = due.number
        try:
            jpeg = await asyncio.get_running_loop().run_in_executor(self._shared.decoding, due.jpeg)
        except SourceError as error:  # it was moved, or is damaged there
            if self._screen.playing:
                self._screen.obey(Command("toggle"))
            await self._say({"type": "error", "message": str(error)})
            return
        moment = None if self._timeline is None else self._timeline.at(due.number)
        facts = {
            "frame": due.number,
            "seconds": due.number / float(self._clip.frame_rate),
            "playing": self._screen.playing,
            "dropped": self._dropped,
            "delay_ms": round(self._delay * 1000),
        }
        self._on_the_way.append((due.number, time.monotonic()))
        await self._socket.send_bytes(picture_message(self._clip, moment, self._plan, jpeg, facts | due.facts))

    async def _say(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message))
