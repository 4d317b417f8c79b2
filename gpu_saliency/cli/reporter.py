"""The reporter of the command line: shows progress on stderr, spells settings as flags, and keeps a log where one is asked for."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from gpu_saliency.cli.run_log import RunLog
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.progress import Advance, Progress, Reporter
from gpu_saliency.texts import hide_secrets, printable

_EVENT_SECONDS = 0.5
"""Least time between two events of progress."""
_LOGGER = logging.getLogger("gpu_saliency")


class CliReporter(Reporter):
    """Shows progress and messages on stderr and spells settings as flags.

    ``progress`` is one of `PROGRESS`. Events (docs/progress.md) go to stderr for ``json``, and to ``log`` where one is kept.
    """

    spell = staticmethod(spell_flag)
    current: ClassVar[CliReporter | None] = None
    """The reporter of this run, for the error that ends it."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, progress: str = "auto", log_file: Path | None = None) -> None:
        """Raises `OutputError` unless ``log_file`` is new or a log of this program."""
        super().__init__(quiet=quiet or progress == "none", verbose=verbose, bars=progress == "auto")
        self._as_json, self._messages = progress == "json", not quiet
        self._log = None if log_file is None else RunLog(log_file)
        self._started, self._lock = time.monotonic(), threading.RLock()
        if self._as_json or self._log is not None or verbose:
            _listen(self)
        CliReporter.current = self
        self._event("start", command=["gpu-saliency", *map(hide_secrets, sys.argv[1:])])

    @contextmanager
    def _display(self, stage: Progress) -> Iterator[Advance]:
        if not self._as_json and self._log is None:
            with super()._display(stage) as advance:
                yield advance
            return
        facts: dict[str, Any] = {"stage": stage.stage, "step": stage.step, "steps": stage.steps}
        self._event("stage", **facts)
        started, last, counted = time.monotonic(), 0.0, 0

        def report(done: int, total: int | None) -> None:
            nonlocal last, counted
            counted, now = done, time.monotonic()
            show(done, total)
            if done and (now - last >= _EVENT_SECONDS or done == total):
                last = now
                self._event("progress", **facts, **_rates(done, total, now - started), unit=stage.unit)

        with super()._display(stage) as shown:
            show = (lambda _done, _total: None) if self._as_json else shown
            yield report
        self._event("stage-end", **facts, done=counted, unit=stage.unit, seconds=round(time.monotonic() - started, 3))

    def _lines(self, stage: Progress) -> Advance:
        return (lambda _done, _total: None) if self._as_json else super()._lines(stage)

    def detail(self, line: str) -> None:
        self._event("message", shows=self._verbose, level="detail", text=printable(hide_secrets(line)))
        super().detail(line)

    def say(self, line: str) -> None:
        self._message("info", line)
        if self._messages:
            self._print(line)

    def warn(self, line: str) -> None:
        self._message("warning", line)
        super().warn(line)

    def error(self, line: str) -> None:
        self._message("error", line)
        super().error(line)

    def fail(self, error: GpuSaliencyError) -> None:
        """Report the ``error`` that ends the run."""
        for word in error.evidence.get("ffmpeg_last_words", ())[:-1]:
            self.say(f"ffmpeg: {word}")
        self._event("error", **error.to_json(spell_flag))
        super().error(error.line(spell_flag))

    def end(self, exit_code: int) -> None:
        """The last event of the run."""
        self._event("end", exit_code=exit_code, seconds=round(time.monotonic() - self._started, 3))
        _stop_listening()
        if self._log is not None:
            self._log.close()

    def _message(self, level: str, line: str) -> None:
        self._event("message", level=level, text=printable(hide_secrets(line)))

    def _event(self, event: str, *, shows: bool = True, **facts: Any) -> None:
        """Write an event to the log, and to stderr where it ``shows``; the threads of the work may do so at once."""
        with self._lock:
            if self._log is not None:
                self._log.write(event, facts)
            if self._as_json and shows:
                sys.stderr.write(json.dumps({"event": event} | facts) + "\n")
                sys.stderr.flush()

    def _print(self, line: str, style: str | None = None) -> None:
        if not self._as_json:
            super()._print(line, style)


def _rates(done: int, total: int | None, seconds: float) -> dict[str, Any]:
    rate = done / seconds if seconds > 0 else None
    left = None if rate is None or total is None else round(max(0, total - done) / rate, 1)
    percent = None if not total else round(100 * done / total, 1)
    return {"done": done, "total": total, "percent": percent, "per_second": rate and round(rate, 1), "seconds_left": left}


class _Commands(logging.Handler):
    """Passes what the library logs, such as the commands that it runs, on as details."""

    def __init__(self, reporter: CliReporter) -> None:
        super().__init__(logging.DEBUG)
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self.reporter.detail(record.getMessage())


def _listen(reporter: CliReporter) -> None:
    _stop_listening()
    _LOGGER.addHandler(_Commands(reporter))
    _LOGGER.setLevel(logging.DEBUG)


def _stop_listening() -> None:
    """Otherwise a second run in this process would show its details by the first run's reporter."""
    for handler in [one for one in _LOGGER.handlers if isinstance(one, _Commands)]:
        _LOGGER.removeHandler(handler)
