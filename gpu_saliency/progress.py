"""Progress and cancellation of long work: `Observer` calls the caller's functions, `Reporter` shows the progress on stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from gpu_saliency.errors import GpuSaliencyError, Interrupted, Spelling, spell_all, spell_python
from gpu_saliency.texts import hide_secrets, printable

Advance = Callable[[int, int | None], None]
"""Called with the number of frames done, and the total or ``None`` where it is not known."""
_LINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one stage of the work, such as the encode."""

    stage: str
    done: int
    """Frames."""
    total: int | None
    """Frames of the whole stage; ``None`` where the number is not known."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of text for the user."""

    level: str
    """``info``, ``warning`` or ``error``."""
    text: str


class Observer:
    """Passes progress and messages of long work to the caller's functions, and cancels the work on request."""

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

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """Begin the stage ``name`` of the work; the block reports progress through the yielded function (see `Advance`)."""
        with self._display(name) as show:

            def advance(done: int, total: int | None) -> None:
                if self._cancel is not None and self._cancel.is_set():
                    raise Interrupted("cancelled")
                show(done, total)
                if self._on_progress is not None:
                    self._on_progress(Progress(name, done, total))

            advance(0, None)
            yield advance

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
        if self._on_message is not None:
            self._on_message(Message(level, line))

    def _display(self, _name: str) -> AbstractContextManager[Advance]:
        return _no_display()


@contextmanager
def _no_display() -> Iterator[Advance]:
    yield lambda _done, _total: None


class Reporter(Observer):
    """Shows stages on stderr: a live bar on a terminal, a line every 10 s elsewhere.

    ``quiet`` shows warnings and errors only.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        super().__init__()
        self.console = console or Console(stderr=True)
        self._quiet = quiet
        self._bars: Bars | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether only warnings and errors are shown."""
        return self._quiet

    @contextmanager
    def _display(self, name: str) -> Iterator[Advance]:
        if self._quiet:
            yield lambda _done, _total: None
        elif self.console.is_terminal:
            yield from self._bar(name)
        else:
            yield self._lines(name)

    def _bar(self, name: str) -> Iterator[Advance]:
        # Stages may nest, and rich before 14.1 allows one live display at a time: the outermost stage creates it.
        if self._bars is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            with Bars(*columns, console=self.console, transient=True) as self._bars:
                try:
                    yield from self._task(self._bars, name)
                finally:
                    self._bars = None
        else:
            yield from self._task(self._bars, name)

    def _task(self, bars: Bars, name: str) -> Iterator[Advance]:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
        bars.remove_task(task)

    def _lines(self, name: str) -> Advance:
        started = shown = time.monotonic()

        def advance(done: int, total: int | None) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= _LINE_SECONDS:
                shown = now
                of = f" of {total}" if total else ""
                self.say(f"{name}: {done}{of} frames, {done / (now - started):.0f} fps")

        return advance

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
