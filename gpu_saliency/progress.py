"""Progress of long work, on stderr: a live bar on a terminal, a sparse line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

Advance = Callable[[int, int | None], None]
"""Called with (done, total or None)."""
_LINE_SECONDS = 10.0


class Reporter:
    """Shows one stage after the other. ``quiet`` shows nothing."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True)
        self._quiet = quiet
        self._bars: Progress | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """Show ``name`` until the block ends; the yielded function takes the frames done and the frames in all."""
        if self._quiet:
            yield lambda _done, _total: None
        elif self.console.is_terminal:
            yield from self._bar(name)
        else:
            yield from self._lines(name)

    def _bar(self, name: str) -> Iterator[Advance]:
        # Stages may nest, and rich before 14.1 has one live display at a time: the outermost stage owns it.
        if self._bars is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            with Progress(*columns, console=self.console, transient=True) as self._bars:
                try:
                    yield from self._task(self._bars, name)
                finally:
                    self._bars = None
        else:
            yield from self._task(self._bars, name)

    def _task(self, bars: Progress, name: str) -> Iterator[Advance]:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
        bars.remove_task(task)

    def _lines(self, name: str) -> Iterator[Advance]:
        started = shown = time.monotonic()

        def advance(done: int, total: int | None) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= _LINE_SECONDS:
                shown = now
                of = f" of {total}" if total else ""
                self.say(f"{name}: {done}{of} frames, {done / (now - started):.0f} fps")

        yield advance

    def say(self, line: str) -> None:
        """One line for people."""
        if not self._quiet:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """A line that is shown even when quiet: something differs from what one may expect."""
        self.console.print(f"WARNING: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)

    def error(self, line: str) -> None:
        self.console.print(f"ERROR: {line}", style="bold red", markup=False, highlight=False, soft_wrap=True)
