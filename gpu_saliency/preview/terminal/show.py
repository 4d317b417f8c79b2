"""Plays a clip or a live source in the terminal, a few frames per second."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import av
import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gpu_saliency.draw.canvas import Picture
from gpu_saliency.errors import Spelling, UsageError, setting, spell_python
from gpu_saliency.plan.policy import MAX_OFFSET
from gpu_saliency.preview.dials import Dials
from gpu_saliency.preview.estimator import Estimator, FoundStrength
from gpu_saliency.preview.layers import Layers, scale_end
from gpu_saliency.preview.live.session import LiveSession
from gpu_saliency.preview.measuring import Measuring
from gpu_saliency.preview.moment import Moment, MomentLookup
from gpu_saliency.preview.planner import Planned, Session, View
from gpu_saliency.preview.screen import ClipScreen, LiveScreen, Screen
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.preview.terminal import text
from gpu_saliency.preview.terminal.few_colours import FewColours
from gpu_saliency.preview.terminal.half_blocks import Arrangement, arrange, half_blocks
from gpu_saliency.preview.terminal.keys import Keys
from gpu_saliency.source.seek import FrameReader
from gpu_saliency.source.shrink import Shrinker

SHOWN_FPS = 5.0
_TEXT_LINES, _WIDE = 8, 100
"""Lines below the pictures; two more in terminals that are not so wide."""
_PANELS = ("heat", "plan")
_TWO_COLUMNS = 120
"""Columns of a terminal in which keys are listed in two columns."""
_LEAST = (40, 16)
"""Columns and lines of the smallest usable terminal."""
_RATE_SECONDS = 2.0
"""Period over which the displayed frame rate is measured."""
_OFFSET_STEP = 0.5
"""Change of the offset by one key."""
_MEASURES = {"e": "clip", "m": "moment", "a": "auto"}
"""What the keys request."""


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


def show_clip(
    session: PreviewSession,
    start: Dials,
    console: Console,
    estimator: Estimator,
    spell: Spelling = spell_python,
    *,
    auto: bool = False,
) -> None:
    """Play a clip until the user ends it. Raises the error that ended the analysis before its first map.

    ``auto``: after the analysis, ``estimator`` searches the strength.
    """
    reader = FrameReader(session.clip)
    pool = ThreadPoolExecutor(1, "trials")
    measuring = Measuring(estimator, pool)
    try:
        screen = ClipScreen(session.clip, reader.read)
        _Player(session, screen, start, console, spell, measuring, to_measure="auto" if auto else None).run()
    finally:
        measuring.cancel()
        pool.shutdown()
        reader.close()


def show_live(session: LiveSession, start: Dials, console: Console, spell: Spelling = spell_python) -> None:
    """Show a live source until the user ends it. Raises the error that ended the analysis before its first map."""
    _Player(session, LiveScreen(session.reader, lambda latest: latest.frame), start, console, spell, None).run()


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The objects that draw a view at a terminal size; cached until either changes."""

    version: int
    dials: Dials
    window: tuple[int, int]
    planned: Planned
    lookup: MomentLookup
    layers: Layers
    shrink: Shrinker
    arrangement: Arrangement
    free_lines: int
    """Lines of the terminal that are left below."""
    top: float
    means: NDArray[np.float64]
    """``[samples]``, mean saliency of each map, 0..1."""


class _Player:
    """Shows the frames of a `Screen` in the terminal, and passes keys to it."""

    def __init__(
        self,
        session: Session,
        screen: Screen[av.VideoFrame],
        dials: Dials,
        console: Console,
        spell: Spelling,
        measuring: Measuring | None,
        *,
        to_measure: str | None = None,
    ) -> None:
        """``measuring`` is ``None`` for a live source; ``to_measure`` is requested once the analysis has finished."""
        self._session, self._screen, self._dials, self._console, self._spell = session, screen, dials, console, spell
        self._measuring, self._to_measure = measuring, to_measure
        self._applied = 0
        """Number of the last state of ``measuring`` that the dials have taken."""
        self._frame = 0
        self._drawing: _Drawing | None = None
        self._shown: list[float] = []
        self._panels: tuple[str, ...] = _PANELS
        self._shows_keys = False
        self._has_few_colours = console.color_system not in ("truecolor", "windows")

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
                if self._measuring is not None:
                    self._measure(self._measuring, self._session.view())

    def _measure(self, measuring: Measuring, view: View) -> None:
        """Start the requested trial encodes after the analysis; apply the strength that they have found."""
        if self._to_measure is not None and view.sidecar is not None:
            planned = self._session.planner.plan(view, self._dials)
            measuring.start(self._to_measure, view.sidecar, planned.policy, self._dials.crf, self._frame)
            self._to_measure = None
        state = measuring.state
        if state is not None and state.number != self._applied:
            self._applied = state.number
            if isinstance(state.result, FoundStrength):
                policy = replace(self._dials.policy, offset=state.result.offset)
                self._dials = replace(self._dials, policy=policy, salient_bits=None)

    def _turn(self, step: float) -> None:
        """Change the offset by ``step``, and cancel trial encodes that run with the old one."""
        offset = self._dials.policy.offset
        if self._drawing is not None:
            offset = self._drawing.planned.policy.offset
        offset = min(max(round(offset + step, 2), -MAX_OFFSET), MAX_OFFSET)
        self._dials = replace(self._dials, policy=replace(self._dials.policy, offset=offset), salient_bits=None)
        self._cancel()

    def _cancel(self) -> None:
        self._to_measure = None
        if self._measuring is not None:
            self._measuring.cancel()

    def _press(self, key: str) -> None:
        if key == " ":
            self._screen.toggle()
        elif key in ("left", "right"):
            self._screen.step(-1 if key == "left" else 1)
        elif key in ("up", "down"):
            self._screen.skip(-1.0 if key == "down" else 1.0)
        elif key in ("+", "-"):
            self._turn(-_OFFSET_STEP if key == "+" else _OFFSET_STEP)
        elif key in _MEASURES and self._measuring is not None:
            self._to_measure = _MEASURES[key]
        elif key == "c":
            self._cancel()
        elif key == "s":
            self._panels = _PANELS if "source" in self._panels else ("source", *_PANELS)
            self._drawing = None
        elif key == "?":
            self._shows_keys = not self._shows_keys

    def _draw(self, view: View) -> Group:
        drawing = self._drawing_of(view)
        due = self._screen.due(view)
        picture = drawing.shrink(due.draw())
        moment = drawing.lookup.at(due.number)
        self._frame = due.number
        state = "playing" if self._screen.playing else "paused"
        live, width = not self._screen.seekable, drawing.window[0]
        if self._shows_keys:
            return Group(text.line("Keys"), text.key_table(live=live))
        shown: list[RenderableType] = [
            *self._pictures(drawing, moment, picture),
            text.scales(drawing.top, width, few_colours=self._has_few_colours),
            text.progress(self._session, view, self._spell),
            text.flow(moment.status(), width),
            text.plan_summary(drawing.planned, moment, width),
            text.measurement(self._measuring, self._to_measure, drawing.planned.policy, self._spell),
            text.curve(drawing.means, moment.sample, drawing.window[0]),
            text.line(f"{state}, {self._frame_rate():.1f} frames per second shown"),
            text.keys(live=live, width=width),
        ]
        table = text.key_table(live=live, columns=2 if width >= _TWO_COLUMNS else 1)
        if drawing.free_lines > table.plain.count("\n"):
            shown.append(table)
        return Group(*shown)

    def _pictures(self, drawing: _Drawing, moment: Moment, picture: Picture) -> list[RenderableType]:
        """The panels with their titles."""
        drawn = {"source": picture}
        for kind in _PANELS:
            drawn[kind] = np.empty_like(picture)
            drawing.layers.overlay(kind, moment, picture, drawn[kind])
        columns = drawing.arrangement.panel[0]
        if not drawing.arrangement.stacked:
            return [text.titles(self._panels, columns), half_blocks(*(drawn[panel] for panel in self._panels))]
        return [one for panel in self._panels for one in (text.titles((panel,), columns), half_blocks(drawn[panel]))]

    def _frame_rate(self) -> float:
        """Frames shown per second, the current one included."""
        now = time.monotonic()
        self._shown = [*(at for at in self._shown if at > now - _RATE_SECONDS), now]
        return len(self._shown) / _RATE_SECONDS

    def _drawing_of(self, view: View) -> _Drawing:
        window, old = (self._console.width, self._console.height), self._drawing
        if old is not None and (old.version, old.dials, old.window) == (view.version, self._dials, window):
            return old
        assert view.track is not None
        clip = self._session.clip
        planned = self._session.planner.plan(view, self._dials)
        plan = planned.plan
        lines = _TEXT_LINES + 1 + 2 * (window[0] < _WIDE)
        arrangement, top = arrange(clip, len(self._panels), window[0], window[1] - lines), scale_end(plan)
        layers = FewColours if self._has_few_colours else Layers
        self._drawing = _Drawing(
            version=view.version,
            dials=self._dials,
            window=window,
            planned=planned,
            lookup=MomentLookup(view.track, plan, clip.frame_rate, view.first_frame),
            layers=layers(clip, arrangement.panel, top),
            shrink=Shrinker(arrangement.panel, clip.orientation),
            arrangement=arrangement,
            free_lines=window[1] - lines - arrangement.lines(len(self._panels)),
            top=top,
            means=view.track.saliency.mean(axis=(1, 2)) / 255,
        )
        return self._drawing
