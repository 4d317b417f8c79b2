"""The preview in a terminal: two pictures a line of half blocks high each pixel, and the numbers, a few times a second."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

import numpy as np
from rich.color import Color
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.draw.canvas import Picture
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.layers import Layers, scale_end
from gpu_saliency.preview.moment import Moment, Timeline
from gpu_saliency.preview.session import Looked, View
from gpu_saliency.preview.terminal.keys import Keys
from gpu_saliency.preview.terminal.player import Player
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.shrink import Shrinker

SHOWN_FPS = 5.0
_GAP = 2
_WORDS = 7
"""Lines below the pictures."""
_LEAST = (40, 16)
"""Columns and lines of a terminal in which anything can be made out."""
_STEPS = " ▁▂▃▄▅▆▇█"
_BAR = 24


@dataclass(slots=True)
class _Scene:
    """What is drawn with, until the plan or the terminal's size changes."""

    version: int
    window: tuple[int, int]
    track: SaliencyTrack
    plan: RoiPlan
    panel: tuple[int, int]
    timeline: Timeline
    layers: Layers
    shrink: Shrinker
    shares: list[float] = field(default_factory=list)


def check_terminal(console: Console) -> Console:
    """``console``, if the preview can be shown there. Raises `UsageError`."""
    if not console.is_terminal:
        raise UsageError("--terminal: stdout is no terminal", cure="give --output FILE.mp4 or FILE.png")
    if console.width < _LEAST[0] or console.height < _LEAST[1]:
        raise UsageError(f"--terminal: {console.width}x{console.height} is too small", cure=f"{_LEAST[0]}x{_LEAST[1]} at least")
    if console.color_system is None or console.no_color:
        raise UsageError("--terminal: shows no colours", cure="unset NO_COLOR, and set TERM to what the terminal is")
    return console


def show_in_terminal(session: Looked, player: Player, policy: RoiPolicy, console: Console, fps: float = SHOWN_FPS) -> None:
    """Play what ``player`` has until the user ends it; closes ``player``.

    Raises what ended the analysis before its first map.
    """
    scene: _Scene | None = None
    shown: list[float] = []
    try:
        with Keys() as keys, Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
            while True:
                due = time.monotonic() + 1 / fps
                view = session.view()
                if view.track is None:
                    if view.error is not None:
                        raise view.error
                    live.update(Text(f"{session.name}: looking at the first frames"), refresh=True)
                else:
                    scene = _scene_of(session, view, policy, console, scene)
                    number, frame = player.frame(view)
                    picture = scene.shrink(frame)
                    shown = [*(at for at in shown if at > due - 2), time.monotonic()]
                    live.update(_screen(session, view, policy, scene, number, picture, player, len(shown) / 2), refresh=True)
                key = keys.pressed(max(0.0, due - time.monotonic()))
                if key == "q":
                    return
                player.obey(key)
    finally:
        player.close()


def _scene_of(session: Looked, view: View, policy: RoiPolicy, console: Console, old: _Scene | None) -> _Scene:
    window = (console.width, console.height)
    if old is not None and old.version == view.version and old.window == window:
        return old
    assert view.track is not None
    plan = session.planner.plan(view, policy)
    panel = _panel(session.clip, window)
    return _Scene(
        version=view.version,
        window=window,
        track=view.track,
        plan=plan,
        panel=panel,
        timeline=Timeline(view.track, plan, session.clip.frame_rate, view.first_frame),
        layers=Layers(session.clip, panel, scale_end(plan)),
        shrink=Shrinker(panel, session.clip.rotation),
        shares=view.track.saliency.mean(axis=(1, 2)).tolist(),
    )


def _panel(clip: Clip, window: tuple[int, int]) -> tuple[int, int]:
    """Width in columns and height in half lines of each of the two pictures; a half block is about as wide as high."""
    wide, high = float(clip.width * clip.sample_aspect_ratio), float(clip.height)
    if clip.rotation % 180:
        wide, high = high, wide
    room = ((window[0] - _GAP) // 2, 2 * (window[1] - _WORDS - 1))
    scale = min(room[0] / wide, room[1] / high)
    return max(1, min(room[0], round(wide * scale))), max(2, min(room[1], round(high * scale / 2) * 2))


def _screen(
    session: Looked,
    view: View,
    policy: RoiPolicy,
    scene: _Scene,
    number: int,
    picture: Picture,
    player: Player,
    fps: float,
) -> Group:
    moment = scene.timeline.at(number)
    heat, grid = np.empty_like(picture), np.empty_like(picture)
    scene.layers.lay("heat", moment, picture, heat)
    scene.layers.lay("plan", moment, picture, grid)
    top = scale_end(scene.plan)
    titles = Text(f"{'saliency':<{scene.panel[0] + _GAP}}plan: QP offset", style="bold", no_wrap=True)
    lines: list[RenderableType] = [
        titles,
        half_blocks(heat, grid),
        _legend(top),
        _line(_progress(session, view, scene)),
        _line(_of_frame(moment)),
        _line(_of_plan(policy, moment)),
        _sparkline(scene, moment, scene.window[0]),
        _line(f"{'playing' if player.playing else 'paused'}, {fps:.1f} pictures a second   {player.keys}"),
    ]
    return Group(*lines)


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _progress(session: Looked, view: View, scene: _Scene) -> str:
    clip, done = session.clip, scene.track.frame_count
    facts = f"{session.name}  {clip.width}x{clip.height}  {float(clip.frame_rate):.4g} fps"
    if view.live is not None and view.error is None:
        return f"{facts}  {view.live}"
    if view.error is not None:
        return f"{facts}  analysis ended at frame {done}: {view.error}"
    if view.finished:
        return f"{facts}  analysed: {done} frames, {len(scene.track.sample_frame)} maps"
    of = f" of about {clip.frame_count}" if clip.frame_count else ""
    return f"{facts}  analysing: {done}{of} frames"


def _of_frame(moment: Moment) -> str:
    low, high = float(moment.effective.min()), float(moment.effective.max())
    return (
        f"frame {moment.frame}  {moment.clock()}  map {moment.sample + 1} of {moment.samples}  "
        f"segment {moment.segment + 1} of {moment.segments}  mean saliency {moment.mean_saliency:.2f}  QP {low:+.1f} to {high:+.1f}"
    )


def _of_plan(policy: RoiPolicy, moment: Moment) -> str:
    improved = float((moment.effective < -0.5).mean())
    alpha = f" {policy.ema_alpha:g}" if policy.aggregator == "ema" else ""
    return f"plan {policy.mapping} {policy.offset:+d} by {policy.aggregator}{alpha}: {improved:.0%} of the blocks improved"


def _legend(top: float) -> Text:
    ramp = np.linspace(0, 1, _BAR)
    line = Text("saliency 0 ", no_wrap=True)
    for colour in saliency_colour(ramp).astype(int):
        line.append("█", style=Style(color=Color.from_rgb(*colour)))
    line.append(f" 1   QP {-top:g} better ")
    for colour in offset_colour((2 * ramp - 1) * top, top).astype(int):
        line.append("█", style=Style(color=Color.from_rgb(*colour)))
    line.append(f" +{top:g} worse")
    return line


def _sparkline(scene: _Scene, moment: Moment, width: int) -> Text:
    """Mean saliency over time, the highest as high as a line; the place is marked."""
    label = "mean saliency "
    columns = max(1, width - len(label) - 8)
    shares = np.array(scene.shares) / 255
    bins = np.array_split(shares, min(columns, len(shares)))
    means = np.array([part.mean() for part in bins])
    highest = max(float(means.max()), 1e-6)
    marks = "".join(_STEPS[round(float(mean) / highest * (len(_STEPS) - 1))] for mean in means)
    at = min(len(means) - 1, moment.sample * len(means) // len(shares))
    line = Text(label, no_wrap=True)
    line.append(marks[:at]).append("┃", style="bold").append(marks[at + 1 :])
    return line.append(f" max {highest:.2f}")


def half_blocks(*pictures: Picture) -> Segments:
    """Pictures ``[2 n, w, 3]`` side by side as n lines of blocks: the upper half of each is its colour, the lower its ground."""
    segments: list[Segment] = []
    for line in range(pictures[0].shape[0] // 2):
        for picture in pictures:
            pairs = np.concatenate([picture[2 * line], picture[2 * line + 1]], axis=1)
            # Neighbours of one colour share a segment.
            edges = [0, *(np.flatnonzero(np.any(pairs[1:] != pairs[:-1], axis=1)) + 1).tolist(), len(pairs)]
            for start, end in itertools.pairwise(edges):
                r, g, b, r2, g2, b2 = (int(value) for value in pairs[start])
                segments.append(Segment("▀" * (end - start), Style.from_color(Color.from_rgb(r, g, b), Color.from_rgb(r2, g2, b2))))
            segments.append(Segment(" " * _GAP))
        segments[-1] = Segment.line()
    return Segments(segments)
