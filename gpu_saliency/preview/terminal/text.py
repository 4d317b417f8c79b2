"""Makes the lines of text around the pictures: titles, colour scales, progress, values and a curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.errors import Spelling
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.preview.estimator import Estimate
from gpu_saliency.preview.measuring import Measuring
from gpu_saliency.preview.moment import Moment
from gpu_saliency.preview.planner import Planned, Session, View
from gpu_saliency.preview.terminal import few_colours as few
from gpu_saliency.preview.terminal.half_blocks import GAP

_LEVELS = " ▁▂▃▄▅▆▇█"
_SCALE_COLUMNS = 24
_CLIP_KEYS = (
    ("q", "end"),
    ("space", "pause, play"),
    ("left, right", "one frame back, on"),
    ("down, up", "one second back, on"),
    ("+ -", "plan stronger, weaker by 0.5 QP"),
    ("s", "source shown, hidden"),
    ("e, m", "estimate the clip, two seconds of it"),
    ("a", "search the strength of auto"),
    ("c", "cancel trial encodes"),
    ("?", "these keys"),
)
_LIVE_KEYS = tuple(pair for pair in _CLIP_KEYS if pair[0] in ("q", "space", "+ -", "s", "?"))
_CLIP_LINES = (
    "? keys  q end  space pause  arrows move  +- strength  s source  e m estimate  a auto  c cancel",
    "? keys  q end  space pause  arrows move  +- strength  e estimate  a auto",
    "? keys  q end  space pause  +- strength",
)
_LIVE_LINES = ("? keys  q end  space pause  +- strength  s source", "? keys  q end  space pause")
_TITLES = {"source": "source", "heat": "saliency", "plan": "plan: QP offset"}


def line(text: str) -> Text:
    """One line of text, cut off at the terminal's width."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def flow(parts: Sequence[str], width: int) -> Text:
    """``parts`` in one line where they fit, else in two."""
    whole = "  ".join(parts)
    if len(whole) <= width or len(parts) < 2:
        return line(whole)
    return Text(f"{'  '.join(parts[:-1])}\n{parts[-1]}", no_wrap=True, overflow="ellipsis")


def titles(panels: Sequence[str], width: int) -> Text:
    """The titles of ``panels`` side by side, of ``width`` columns each."""
    words = "".join(f"{_TITLES[panel][:width]:<{width + GAP}}" for panel in panels)
    return Text(words.rstrip(), style="bold", no_wrap=True)


def keys(*, live: bool, width: int) -> Text:
    """The line of keys: the longest that fits."""
    lines = _LIVE_LINES if live else _CLIP_LINES
    return line(next((one for one in lines if len(one) <= width), lines[-1]))


def key_table(*, live: bool, columns: int = 1) -> Text:
    """All keys and their uses, in one or two ``columns``."""
    rows = [f"  {key:<12} {use:<40}" for key, use in (_LIVE_KEYS if live else _CLIP_KEYS)]
    half = -(-len(rows) // columns)
    lines = ["".join(rows[number::half]).rstrip() for number in range(half)]
    return Text("\n".join(["", *lines]), no_wrap=True)


def scales(top: float, width: int, *, few_colours: bool = False) -> Text:
    """The colour scales of saliency and of QP offsets from ``-top`` to ``top``, in at most ``width`` columns."""
    words = "saliency 0 ", f" 1  QP {-top:g} better ", f" +{top:g} worse"
    columns = max(4, min(_SCALE_COLUMNS, (width - sum(map(len, words))) // 2))
    ramp = np.linspace(0, 1, columns)
    heat = few.ramp(few.HEAT, columns) if few_colours else saliency_colour(ramp).astype(int)
    plan = few.ramp(few.PLAN, columns) if few_colours else offset_colour((2 * ramp - 1) * top, top).astype(int)
    text = Text(words[0], no_wrap=True, overflow="ellipsis")
    for colours, word in ((heat, words[1]), (plan, words[2])):
        for red, green, blue in colours.tolist():
            text.append("█", style=Style(color=Color.from_rgb(red, green, blue)))
        text.append(word)
    return text


def progress(session: Session, view: View, spell: Spelling) -> Text:
    """Name, size and rate of the clip, and the state of its analysis; ``view`` must have a track."""
    assert view.track is not None
    clip, done = session.clip, view.track.frame_count
    facts = f"{session.name}  {clip.width}x{clip.height}  {float(clip.frame_rate):.4g} fps  {session.origin}"
    if view.live is not None and view.error is None:
        return line(f"{facts}  {view.live}")
    if view.error is not None:
        return line(f"{facts}  analysis ended at frame {done}: {view.error.line(spell)}")
    if view.finished:
        return line(f"{facts}  analysed: {done} frames, {len(view.track.sample_frame)} maps")
    total = f" of about {clip.frame_count} frames, {min(1.0, done / clip.frame_count):.0%}" if clip.frame_count else " frames"
    return line(f"{facts}  analysing: {done}{total}")


def plan_summary(planned: Planned, moment: Moment, width: int) -> Text:
    """The policy, the share of blocks that the plan improves in this frame, and the share of the bits."""
    policy = planned.policy
    improved = float((moment.effective < -0.5).mean())
    alpha = f" {policy.ema_alpha:g}" if policy.aggregator == "ema" else ""
    bits = f"salient bits {planned.share:.1%} (plain {planned.plain_share:.1%})"
    plan = f"plan {policy.mapping} {policy.offset:+g} by {policy.aggregator}{alpha}: {improved:.0%} of blocks improved; "
    return flow([plan.rstrip(), bits], width)


def measurement(measuring: Measuring | None, requested: str | None, policy: RoiPolicy, spell: Spelling) -> Text:
    """The state or the result of trial encodes; a result for another policy than ``policy`` is marked as stale.

    ``requested`` is waiting for the end of the analysis.
    """
    if measuring is None:
        return line("no estimate: trial encodes need a file, and a live source cannot be encoded twice")
    if requested is not None:
        return line("estimate: waiting for the end of the analysis")
    state = measuring.state
    if state is None:
        return line("no estimate yet")
    if state.error is not None:
        return line(f"estimate failed: {state.error.line(spell)}")
    if state.result is not None:
        is_stale = isinstance(state.result, Estimate) and state.result.policy != policy
        return line(f"{'stale: ' if is_stale else ''}{'auto: ' if state.kind == 'auto' else ''}{state.result.line()}")
    if state.progress is None:
        return line(f"estimate {state.state}")
    done = f" {state.progress.done}" if state.progress.total is None else f" {state.progress.done} of {state.progress.total} frames"
    return line(f"estimate {state.state}: {state.progress.stage}{done}")


def curve(means: NDArray[np.float64], sample: int, width: int) -> Text:
    """A curve of the mean saliency of each map, 0..1, scaled to the highest; the map ``sample`` is marked.

    ``width`` is the terminal's in columns.
    """
    label = "mean saliency "
    columns = max(1, width - len(label) - 8)
    bins = np.array([part.mean() for part in np.array_split(means, min(columns, len(means)))])
    highest = max(float(bins.max()), 1e-6)
    marks = "".join(_LEVELS[round(float(mean) / highest * (len(_LEVELS) - 1))] for mean in bins)
    at = min(len(bins) - 1, sample * len(bins) // len(means))
    text = Text(label, no_wrap=True)
    text.append(marks[:at]).append("┃", style="bold").append(marks[at + 1 :])
    return text.append(f" max {highest:.2f}")
