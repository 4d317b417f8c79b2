"""Progress and cancellation of long work: `Observer` calls the caller's functions, `Reporter` shows the progress on stderr."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from gpu_saliency.errors import GpuSaliencyError, Interrupted, Spelling, spell_all, spell_python
from gpu_saliency.texts import hide_secrets, printable

_log = logging.getLogger("gpu_saliency")
_log.addHandler(logging.NullHandler())  # without a handler of the application nothing is printed
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

Advance = Callable[[int, int | None], None]
"""Called with the number of frames done, and the total or ``None`` where it is not known."""
_LINE_SECONDS = 10.0
_RATE_AFTER = 1.0
"""Seconds of a stage before its rate is shown."""
_BAR_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one stage of the work, such as the encode."""

    stage: str
    done: int
    """Frames, or the stage's ``unit``."""
    total: int | None
    """Frames of the whole stage; ``None`` where the number is not known."""
    step: int | None = None
    """Number of the stage, from 1; ``None`` where the work has not said which stages it has."""
    steps: int | None = None
    """Number of stages."""
    unit: str = "frames"

    @property
    def title(self) -> str:
        """Step and name, such as ``2/3 encoding with libx264``."""
        return self.stage if self.step is None else f"{self.step}/{self.steps} {self.stage}"


@dataclass(frozen=True, slots=True)
class Message:
    """One line of text for the user."""

    level: str
    """``detail``, ``info``, ``warning`` or ``error``."""
    text: str


class Observer:
    """Passes progress and messages of long work to the caller's functions, and cancels the work on request.

    Messages also go to the logger ``gpu_saliency``, with the names of stages at level ``DEBUG``.
    """

    spell: Spelling = staticmethod(spell_python)
    """Spells the settings that a message mentions."""

    def __init__(
        self,
        on_progress: Callable[[Progress], None] | None = None,
        on_message: Callable[[Message], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        """Both functions are called in the thread that runs the work.

        After another thread sets ``cancel``, the work removes its temporary files and raises `Interrupted`.
        """
        self._on_progress, self._on_message, self._cancel = on_progress, on_message, cancel
        self.warnings: list[str] = []
        """The warnings so far, for results."""
        self._steps: tuple[str, ...] = ()

    def expect(self, *stages: str) -> None:
        """State the names of the stages that the work will have, in order, so that progress can say which of them it is at."""
        self._steps = stages

    @contextmanager
    def stage(self, name: str, unit: str = "frames") -> Iterator[Advance]:
        """Begin the stage ``name`` of the work; the block reports progress through the yielded function (see `Advance`)."""
        step = (self._steps.index(name) + 1, len(self._steps)) if name in self._steps else (None, None)
        start = Progress(name, 0, None, step[0], step[1], unit)
        with self._display(start) as show:

            def advance(done: int, total: int | None) -> None:
                if self._cancel is not None and self._cancel.is_set():
                    raise Interrupted("cancelled")
                show(done, total)
                if self._on_progress is not None:
                    self._on_progress(replace(start, done=done, total=total))

            _log.debug("stage: %s", printable(hide_secrets(name)))
            advance(0, None)
            yield advance

    def detail(self, line: str) -> None:
        """Send a message of level ``detail``: a fact for those who look for the cause of something."""
        self._pass_on("detail", line)

    def say(self, line: str) -> None:
        """Send a message of level ``info``."""
        self._pass_on("info", line)

    def warn(self, line: str) -> None:
        """Send a message of level ``warning``: a result may differ from the user's expectation."""
        self.warnings.append(line)
        self._pass_on("warning", line)

    def error(self, line: str) -> None:
        """Send a message of level ``error``: something failed, and the work goes on."""
        self._pass_on("error", line)

    def spelled(self, text: str) -> str:
        """``text`` with the settings that it marks spelled for the user."""
        return spell_all(text, self.spell)

    def report(self, error: GpuSaliencyError, then: str) -> None:
        """Send ``error`` as a message, followed by ``then``: the text that describes how the work goes on."""
        self.error(f"{error.worded(self.spell)[0]}; {spell_all(then, self.spell)}")

    def _pass_on(self, level: str, line: str) -> None:
        _log.log(_LEVELS.get(level, logging.DEBUG), "%s", printable(hide_secrets(line)))
        if self._on_message is not None:
            self._on_message(Message(level, line))

    def _display(self, _stage: Progress) -> AbstractContextManager[Advance]:
        return _no_display()


@contextmanager
def _no_display() -> Iterator[Advance]:
    yield lambda _done, _total: None


class Reporter(Observer):
    """Shows stages on stderr: a live bar on a terminal, a line every 10 s elsewhere.

    ``quiet`` shows warnings and errors only, ``verbose`` details too. ``bars=False`` shows lines on a terminal too.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False, verbose: bool = False, bars: bool = True) -> None:
        super().__init__()
        self.console = console or Console(stderr=True)
        self._quiet, self._verbose, self._shows_bars = quiet, verbose, bars
        self._bars: Bars | None = None
        self._shown: list[TaskID] = []

    @property
    def is_quiet(self) -> bool:
        """Whether only warnings and errors are shown."""
        return self._quiet

    @property
    def is_verbose(self) -> bool:
        """Whether details are shown too."""
        return self._verbose

    @contextmanager
    def _display(self, stage: Progress) -> Iterator[Advance]:
        if self._quiet:
            yield lambda _done, _total: None
        elif self.console.is_terminal and self._shows_bars:
            yield from self._bar(stage)
        else:
            yield self._lines(stage)

    def _bar(self, stage: Progress) -> Iterator[Advance]:
        # Stages may nest, and rich before 14.1 allows one live display at a time: the outermost stage creates it.
        if self._bars is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(_BAR_WIDTH), _State())
            with Bars(*columns, console=self.console, transient=True) as self._bars:
                try:
                    yield from self._task(self._bars, stage)
                finally:
                    self._bars = None
        else:
            yield from self._task(self._bars, stage)

    def _task(self, bars: Bars, stage: Progress) -> Iterator[Advance]:
        """Show the bar of ``stage`` in place of the one of the stage around it; a line of what was done remains."""
        for outer in self._shown:
            bars.update(outer, visible=False)
        task = bars.add_task(stage.title, total=None, unit=stage.unit)
        self._shown.append(task)
        started, count = time.monotonic(), 0

        def advance(done: int, total: int | None) -> None:
            nonlocal count
            count = done
            bars.update(task, completed=done, total=total)

        try:
            yield advance
        finally:
            self._shown.pop()
            bars.remove_task(task)
            if self._shown:
                bars.update(self._shown[-1], visible=True)
        self._print(finished_line(stage, count, time.monotonic() - started), "dim")

    def _lines(self, stage: Progress) -> Advance:
        started = shown = time.monotonic()

        def advance(done: int, total: int | None) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= _LINE_SECONDS:
                shown = now
                of = f" of {total}" if total else ""
                state = state_text(done, total, now - started, stage.unit)
                self.say(f"{stage.title}: {done}{of} {stage.unit}" + (f", {state}" if state else ""))

        return advance

    def detail(self, line: str) -> None:
        if self._verbose and not self._quiet:
            self._print(line, "dim")

    def say(self, line: str) -> None:
        if not self._quiet:
            self._print(line)

    def warn(self, line: str) -> None:
        self.warnings.append(line)
        self._print(f"WARNING: {line}", "yellow")

    def error(self, line: str) -> None:
        self._print(f"ERROR: {line}", "bold red")

    def _print(self, line: str, style: str | None = None) -> None:
        # Without emoji, which rich makes of names such as :100:.mp4.
        text = printable(hide_secrets(line))
        self.console.print(text, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


class _State(ProgressColumn):
    """How far a stage is: percent, count, rate and the time that is left."""

    def render(self, task: Task) -> Text:
        done = int(task.completed)
        total = None if task.total is None else int(task.total)
        state = state_text(done, total, task.elapsed or 0.0, str(task.fields.get("unit", "frames")))
        return Text(" ".join(filter(None, (f"{done}/{total or '?'}", state))))


def state_text(done: int, total: int | None, seconds: float, unit: str = "frames") -> str:
    """Percent, rate and time left, as far as they are known: ``27 %, 120 fps, 0:09 left``."""
    parts = [f"{100 * done / total:.0f} %"] if total else []
    if done and seconds >= _RATE_AFTER:
        rate = done / seconds
        if unit == "frames":
            parts.append(f"{rate:.0f} fps" if rate >= 10 else f"{rate:.1f} fps")
        if total is not None and total >= done:
            parts.append(f"{clock((total - done) / rate)} left")
    return ", ".join(parts)


def finished_line(stage: Progress, done: int, seconds: float) -> str:
    """What remains to be read of a stage: ``2/3 encoding with libx264: 1492 frames, 12.3 s, 121 fps``."""
    parts = [f"{done} {stage.unit}"] if done else []
    parts.append(f"{seconds:.1f} s")
    if done and stage.unit == "frames" and seconds > 0:
        parts.append(f"{done / seconds:.0f} fps")
    return f"{stage.title}: {', '.join(parts)}"


def clock(seconds: float) -> str:
    """``0:09``, ``12:05`` or ``1:02:03``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
