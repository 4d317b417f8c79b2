"""`Watcher`: takes the clips of a folder when they have been still for some time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.batch.job import Options, file_state
from gpu_saliency.batch.lists import SUFFIXES
from gpu_saliency.batch.names import fill_template, ladder_template
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.rungs import make_rungs
from gpu_saliency.errors import DiskLowError, GpuSaliencyError, QueueError
from gpu_saliency.progress import Reporter
from gpu_saliency.serve.submission import Desk, Taken, Wanted

_MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched, and where its outputs go."""

    folders: tuple[Path, ...]
    out_dir: Path
    template: str
    still: float
    """Seconds without a change of a file's size or time before it is taken."""
    known: frozenset[str]
    """The names of all options."""


class Watcher(threading.Thread):
    """Looks at the folders again and again until `stop`."""

    def __init__(self, watched: Watched, desk: Desk, path: Path, on_taken: Callable[[Taken], None], reporter: Reporter) -> None:
        super().__init__(name="watch", daemon=True)
        self._watched, self._desk, self._path, self._on_taken, self._reporter = watched, desk, path, on_taken, reporter
        self._ending = threading.Event()
        self._still: dict[Path, tuple[str, float]] = {}
        """State of each file and since when it has it."""
        self._done: dict[Path, str] = {}
        """State of each file with which it was taken or refused."""
        self._number = 0

    def stop(self) -> None:
        """Take no more files; may be called in a signal handler."""
        self._ending.set()

    def run(self) -> None:
        pause = min(2.0, max(0.1, self._watched.still / 4))
        queue: Queue | None = None
        while not self._ending.wait(pause):
            ready = list(self._ready())[:_MOST_AT_ONCE]
            if not ready:
                continue
            try:
                queue = queue or Queue(self._path)
                self._take(queue, ready)
            except QueueError as error:
                self._reporter.warn(f"watched files wait: {error.line(self._reporter.spell)}")
        if queue is not None:
            queue.__exit__()

    def _ready(self) -> Iterator[tuple[Path, Path, str]]:
        """Folder, path and state of each file that is still and was not taken in this state."""
        now, seen = time.monotonic(), set()
        for folder in self._watched.folders:
            for path in self._clips(folder):
                state = file_state(path)
                if state is None:
                    continue
                seen.add(path)
                before = self._still.get(path)
                if before is None or before[0] != state:
                    self._still[path] = state, now
                elif now - before[1] >= self._watched.still and self._done.get(path) != state:
                    yield folder, path, state
        for known in (self._still, self._done):
            for path in known.keys() - seen:
                del known[path]

    def _clips(self, folder: Path) -> Iterator[Path]:
        for place, folders, names in os.walk(folder):
            here = Path(place)
            folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name != self._watched.out_dir)
            for name in sorted(names):
                if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                    yield here / name

    def _take(self, queue: Queue, ready: list[tuple[Path, Path, str]]) -> None:
        for folder, path, state in ready:
            if self._ending.is_set():
                return
            try:
                taken = self._desk.take(queue, [self._wanted(folder, path)], again=False)[0]
            except QueueError:
                raise
            except GpuSaliencyError as error:
                taken = Taken(None, error=error)
            if isinstance(taken.error, DiskLowError):
                return  # it is taken when there is space
            self._done[path] = state
            if taken.error is not None:
                self._reporter.warn(f"{path}: is not taken: {taken.error.line(self._reporter.spell)}")
            elif taken.is_new:
                self._on_taken(taken)

    def _wanted(self, folder: Path, path: Path) -> Wanted:
        self._number += 1
        below = os.path.relpath(path.parent, folder)
        rules = self._desk.rules
        folder_below = "" if below == "." else below

        def name_output(name: str | None, options: Options) -> str:
            template = self._watched.template if name is None else ladder_template(self._watched.template)
            filled = fill_template(template, path, folder_below, self._number, options, self._watched.known, rung=name)
            return str(self._watched.out_dir / filled)

        if not rules.rungs:
            return Wanted(str(path), name_output(None, rules.options), {})
        outputs = tuple(rung.output for rung in make_rungs(rules.rungs, rules.options, name_output))
        return Wanted(str(path), None, {}, outputs=outputs)
