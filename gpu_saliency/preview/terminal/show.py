"""Plays a clip or a live source in the terminal, a few frames per second."""

from __future__ import annotations

import time
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gpu_saliency.errors import Spelling, UsageError, setting, spell_python
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.preview.layers import Layers, scale_end
from gpu_saliency.preview.live.session import LiveSession
from gpu_saliency.preview.moment import MomentLookup
from gpu_saliency.preview.planner import Session, View
from gpu_saliency.preview.screen import ClipScreen, LiveScreen, Screen
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.preview.terminal import text
from gpu_saliency.preview.terminal.half_blocks import half_blocks, picture_size
from gpu_saliency.preview.terminal.keys import Keys
from gpu_saliency.source.seek import FrameReader
from gpu_saliency.source.shrink import Shrinker

SHOWN_FPS = 5.0
_TEXT_LINES = 8
_LEAST = (40, 16)
"""Columns and lines of the smallest usable terminal."""
_RATE_SECONDS = 2.0
"""Period over which the displayed frame rate is measured."""


def check_terminal(console: Console) -> Console:
    """Return ``console`` if it can show the preview. Raises `UsageError`."""
    if not console.is_terminal:
        cure = f"give {setting('output', 'FILE.mp4')} or {setting('output', 'FILE.png')}"
        raise UsageError("stdout is not a terminal", setting="terminal", value=True, cure=cure)
    if console.width < _LEAST[0] or console.height < _LEAST[1]:
        cure = f"enlarge it to {_LEAST[0]}x{_LEAST[1]} or more"
        problem = f"{console.width}x{console.height} is too small"
        raise UsageError(problem, setting="terminal", value=True, cure=cure)
    if console.color_system is None or console.no_color:
        cure = "unset NO_COLOR, and set TERM to the terminal's type"
        raise UsageError("has no colours", setting="terminal", value=True, cure=cure)
    return console


def show_clip(session: PreviewSession, policy: RoiPolicy, console: Console, spell: Spelling = spell_python) -> None:
    """Play a clip until the user ends it. Raises the error that ended the analysis before its first map."""
    reader = FrameReader(session.clip)
    try:
        _Player(session, ClipScreen(session.clip, reader.read), policy, console, spell).run()
    finally:
        reader.close()


def show_live(session: LiveSession, policy: RoiPolicy, console: Console, spell: Spelling = spell_python) -> None:
    """Show a live source until the user ends it. Raises the error that ended the analysis before its first map."""
    _Player(session, LiveScreen(session.reader, lambda latest: latest.frame), policy, console, spell).run()


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The objects that draw a view at a terminal size; cached until either changes."""

    version: int
    window: tuple[int, int]
    lookup: MomentLookup
    layers: Layers
    shrink: Shrinker
    panel: tuple[int, int]
    top: float
    means: NDArray[np.float64]
    """``[samples]``, mean saliency of each map, 0..1."""


class _Player:
    """Shows the frames of a `Screen` in the terminal, and passes keys to it."""

    def __init__(
        self, session: Session, screen: Screen[av.VideoFrame], policy: RoiPolicy, console: Console, spell: Spelling
    ) -> None:
        self._session, self._screen, self._policy, self._console, self._spell = session, screen, policy, console, spell
        self._drawing: _Drawing | None = None
        self._shown: list[float] = []

    def run(self) -> None:
        with Keys() as keys, Live(console=self._console, screen=True, auto_refresh=False, transient=True) as live:
            while True:
                due = time.monotonic() + 1 / SHOWN_FPS
                view = self._session.view()
                if view.track is not None:
                    live.update(self._draw(view), refresh=True)
                elif view.error is not None:
                    raise view.error
                else:
                    live.update(Text(f"{self._session.name}: analysing the first frames"), refresh=True)
                key = keys.pressed(max(0.0, due - time.monotonic()))
                if key == "q":
                    return
                self._press(key)

    def _press(self, key: str) -> None:
        if key == " ":
            self._screen.toggle()
        elif key in ("left", "right"):
            self._screen.step(-1 if key == "left" else 1)
        elif key in ("up", "down"):
            self._screen.skip(-1.0 if key == "down" else 1.0)

    def _draw(self, view: View) -> Group:
        drawing = self._drawing_of(view)
        due = self._screen.due(view)
        picture = drawing.shrink(due.draw())
        moment = drawing.lookup.at(due.number)
        heat, plan = np.empty_like(picture), np.empty_like(picture)
        drawing.layers.overlay("heat", moment, picture, heat)
        drawing.layers.overlay("plan", moment, picture, plan)
        state = "playing" if self._screen.playing else "paused"
        keys = text.CLIP_KEYS if self._screen.seekable else text.LIVE_KEYS
        return Group(
            text.titles(drawing.panel[0]),
            half_blocks(heat, plan),
            text.scales(drawing.top),
            text.progress(self._session, view, self._spell),
            text.line("  ".join(moment.status())),
            text.plan_summary(self._policy, moment),
            text.curve(drawing.means, moment.sample, drawing.window[0]),
            text.line(f"{state}, {self._frame_rate():.1f} frames per second   {keys}"),
        )

    def _frame_rate(self) -> float:
        """Frames shown per second, the current one included."""
        now = time.monotonic()
        self._shown = [*(at for at in self._shown if at > now - _RATE_SECONDS), now]
        return len(self._shown) / _RATE_SECONDS

    def _drawing_of(self, view: View) -> _Drawing:
        window, old = (self._console.width, self._console.height), self._drawing
        if old is not None and old.version == view.version and old.window == window:
            return old
        assert view.track is not None
        clip = self._session.clip
        plan = self._session.planner.plan(view, self._policy)
        panel, top = picture_size(clip, window[0], window[1] - _TEXT_LINES), scale_end(plan)
        self._drawing = _Drawing(
            version=view.version,
            window=window,
            lookup=MomentLookup(view.track, plan, clip.frame_rate, view.first_frame),
            layers=Layers(clip, panel, top),
            shrink=Shrinker(panel, clip.rotation),
            panel=panel,
            top=top,
            means=view.track.saliency.mean(axis=(1, 2)) / 255,
        )
        return self._drawing
