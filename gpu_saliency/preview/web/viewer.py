"""`Viewer`: streams frames to one browser with back-pressure; frames wait for acknowledgements, and late frames are dropped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from gpu_saliency.errors import SourceError, UsageError
from gpu_saliency.preview.dials import Dials
from gpu_saliency.preview.estimator import Comparison
from gpu_saliency.preview.measuring import Measuring
from gpu_saliency.preview.moment import MomentLookup
from gpu_saliency.preview.planner import Planned, View
from gpu_saliency.preview.screen import Screen
from gpu_saliency.preview.web.shared import Shared
from gpu_saliency.preview.web.sound import PIECE_SECONDS
from gpu_saliency.preview.web.wire import (
    Command,
    error_message,
    hello,
    measurement_message,
    pair_message,
    parse_command,
    picture_message,
    sound_message,
)

_MAX_UNACKNOWLEDGED = 2
"""Most pictures that the browser has not acknowledged: one being drawn, one being sent."""
_IDLE_SECONDS = 0.25
_MAX_PIECES = 4
"""Most pieces of the sound that wait; the page requests two at a time."""
_MAX_MISTAKES = 20
"""Most invalid messages before the viewer is disconnected; the page sends none."""


class Viewer:
    """The connection to one browser, with its own screen, dials and trial encodes."""

    def __init__(self, socket: WebSocket, shared: Shared, screen: Screen[bytes]) -> None:
        self._socket, self._shared, self._screen = socket, shared, screen
        self._clip = shared.session.clip
        self._dials = shared.start
        self._requested: Dials | None = shared.start
        self._to_measure: str | None = None
        self._to_save = False
        """Whether the page has requested the plan as a file."""
        self._pieces: asyncio.Queue[int] = asyncio.Queue(_MAX_PIECES)
        """Pieces of the sound that the page has requested."""
        self._measured = 0
        """Number of the last state of `Measuring` that was sent."""
        self._changed = asyncio.Event()
        self._planned: Planned | None = None
        self._lookup: MomentLookup | None = None
        self._view = View(-1, None, finished=False)
        self._unacknowledged: list[tuple[int, float]] = []
        """Frame number and sending time of each picture."""
        self._sent: int | None = None
        self._sent_playing = True
        """Whether the page knows that the clip plays."""
        self._redraw = True
        self._moved = True
        self._dropped = 0
        self._delay = 0.0
        self._mistakes = 0

    async def run(self) -> None:
        """Serve the browser until it disconnects."""
        await self._socket.accept()
        with self._shared.measuring() as measuring:
            runs = (self._receive(measuring), self._stream(measuring), self._serve_sound())
            tasks = [asyncio.create_task(run) for run in runs]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            # These errors mean that the client has disconnected, so they are not reported.
            if error is not None and not isinstance(error, (WebSocketDisconnect, RuntimeError)):
                raise error

    async def _receive(self, measuring: Measuring | None) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                self._execute(parse_command(message.get("text") or "", self._shared.start), measuring)
            except UsageError as error:
                await self._send(error_message(error, self._shared.spell))
            except (ValueError, RecursionError):
                self._mistakes += 1
                if self._mistakes > _MAX_MISTAKES:
                    await self._socket.close(1008, "too many invalid messages")
                    return
            self._changed.set()

    def _execute(self, command: Command, measuring: Measuring | None) -> None:
        """Apply ``command``. Raises `UsageError` for a base quality that the encoder does not accept."""
        if command.kind == "ack":
            for number, sent in self._unacknowledged:
                if number == command.number:
                    self._unacknowledged.remove((number, sent))
                    self._delay = time.monotonic() - sent
                    break
            return
        if command.kind == "policy":
            assert command.dials is not None
            if self._shared.estimator is not None:
                self._shared.estimator.quality.check(command.dials.crf)
            self._requested, self._to_measure = command.dials, None
            if measuring is not None:
                measuring.cancel()  # its result would be for other dials
            return
        if command.kind == "plan-file":
            self._to_save = True
            return
        if command.kind == "sound":
            if self._shared.sound is not None and not self._pieces.full():
                self._pieces.put_nowait(command.number)
            return
        if command.kind == "measure":
            self._to_measure = command.measured
            return
        if command.kind == "cancel":
            self._to_measure = None
            if measuring is not None:
                measuring.cancel()
            return
        self._leave_comparison(measuring)
        if command.kind == "toggle":
            self._screen.toggle()
        elif command.kind == "step":
            self._screen.step(command.number)
        elif command.kind == "speed":
            self._screen.set_speed(command.speed)
        elif command.kind == "loop":
            self._screen.set_loop(command.loops)
        else:
            self._screen.seek(command.number)
        self._moved = self._redraw = True

    def _leave_comparison(self, measuring: Measuring | None) -> None:
        """Cancel the encodes of a comparison: the user has moved on in the clip."""
        if self._to_measure == "compare":
            self._to_measure = None
        state = None if measuring is None else measuring.state
        if measuring is not None and state is not None and state.is_active and state.kind == "compare":
            measuring.cancel()

    async def _stream(self, measuring: Measuring | None) -> None:
        shared = self._shared
        quality = None if shared.estimator is None else shared.estimator.quality
        sound = None if shared.sound is None else PIECE_SECONDS
        await self._send(hello(shared.session, shared.size, self._dials, quality, auto=shared.auto, sound=sound))
        while True:
            self._changed.clear()
            await self._update_plan()
            if measuring is not None:
                await self._update_measurement(measuring)
            if self._to_save and self._planned is not None:
                self._to_save = False
                await self._send({"type": "plan-file", "text": await shared.plan_file(self._planned)})
            pause = _IDLE_SECONDS
            if len(self._unacknowledged) < _MAX_UNACKNOWLEDGED:
                await self._send_due()
                if self._screen.playing:
                    pause = min(pause, self._screen.due_in(self._view))
            if pause > 0:
                # Not `asyncio.wait_for`: until Python 3.12 it loses a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
            else:
                await asyncio.sleep(0)

    async def _update_plan(self) -> None:
        """Send the progress of the analysis, and a new plan if the track or the policy has changed."""
        view = self._shared.session.view()
        requested, self._requested = self._requested, None
        if view.version != self._view.version:
            self._view = view
            await self._socket.send_text(await self._shared.timeline(view))
        elif requested is None:
            return
        if view.track is None:
            self._requested = requested
            return
        dials = requested or self._dials
        try:
            self._planned, self._lookup, text = await self._shared.plan(view, dials)
        except UsageError as error:
            await self._send(error_message(error, self._shared.spell))
            return
        self._dials, self._redraw = dials, True
        await self._socket.send_text(text)

    async def _update_measurement(self, measuring: Measuring) -> None:
        """Start the trial encodes that the page has requested, and send their state if it has changed."""
        what, self._to_measure = self._to_measure, None
        if what is not None:
            sidecar = self._view.sidecar
            if sidecar is None or self._planned is None:
                await self._send(
                    {
                        "type": "error",
                        "message": "trial encodes need the whole analysis: wait until it has finished",
                        "setting": None,
                    }
                )
            else:
                measuring.start(what, sidecar, self._planned.policy, self._dials.crf, self._sent or 0)
        state = measuring.state
        if state is not None and state.number != self._measured:
            self._measured = state.number
            await self._send(measurement_message(state, self._shared.spell))
            if isinstance(state.result, Comparison):
                measuring.drop_result()
                await self._send_pairs(state.result)

    async def _send_pairs(self, comparison: Comparison) -> None:
        """Send the pictures of a comparison, unless the page has requested something else meanwhile."""
        for number, (plain, planned) in enumerate(zip(comparison.plain, comparison.planned, strict=True)):
            if self._to_measure is not None:
                return
            await self._socket.send_bytes(pair_message(comparison.first + number, plain, planned))

    async def _serve_sound(self) -> None:
        """Send the pieces of the sound that the page requests."""
        while True:
            number = await self._pieces.get()
            try:
                data = await self._shared.sound_piece(number, self._view)
            except SourceError as error:
                data = b""
                await self._send(error_message(error, self._shared.spell))
            await self._socket.send_bytes(sound_message(number, data))

    async def _send_due(self) -> None:
        due = self._screen.due(self._view)
        if due.number == self._sent and not self._redraw and self._screen.playing == self._sent_playing:
            return
        if self._sent is not None and self._screen.playing and not self._moved and due.number > self._sent:
            self._dropped += due.number - self._sent - 1
        self._redraw = self._moved = False
        self._sent, self._sent_playing = due.number, self._screen.playing
        try:
            jpeg = await asyncio.get_running_loop().run_in_executor(self._shared.decoding, due.draw)
        except SourceError as error:  # the file was moved, or is damaged there
            if self._screen.playing:
                self._screen.toggle()
            await self._send(error_message(error, self._shared.spell))
            return
        moment = None if self._lookup is None else self._lookup.at(due.number)
        facts = {
            "frame": due.number,
            "seconds": due.number / float(self._clip.frame_rate),
            "playing": self._screen.playing,
            "dropped": self._dropped,
            "delay_ms": round(self._delay * 1000),
        }
        if due.age_seconds is not None:
            facts["age_ms"] = round(due.age_seconds * 1000)
        plan = None if self._planned is None else self._planned.plan
        self._unacknowledged.append((due.number, time.monotonic()))
        await self._socket.send_bytes(picture_message(self._clip, moment, plan, jpeg, facts))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message))
