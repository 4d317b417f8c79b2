"""The worker's side: runs the orders that come on stdin, one after the other, and keeps model and imports for the next."""

from __future__ import annotations

import os
import sys
import time
import traceback
from typing import IO

from gpu_saliency.analysis.devices import keep_devices
from gpu_saliency.batch.engine import Advanced, Ended, Failed, Report
from gpu_saliency.batch.local.wire import read_order, report_line
from gpu_saliency.batch.order import MakeRequest, Order
from gpu_saliency.batch.outcome import kind_of
from gpu_saliency.batch.stages import STAGES
from gpu_saliency.errors import GpuSaliencyError, Spelling
from gpu_saliency.process import children, guard, signals, temporary
from gpu_saliency.progress import Message, Observer, Progress

_PAUSE = 0.5
"""Least seconds between two lines of progress."""


def serve(make_request: MakeRequest, spell: Spelling) -> int:
    """Work until stdin ends; returns the exit code. A signal ends the job that runs, and the process."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # what a library prints must not come between the answers
    guard.start()
    keep_devices()
    try:
        for line in sys.stdin:
            with signals.working():
                answer = _work(read_order(line), make_request, spell, answers)
            answers.write(report_line(answer))
    except (KeyboardInterrupt, BrokenPipeError):
        return signals.EXIT_CODE
    finally:
        children.kill_all()
        temporary.remove_all()
        signals.forget_interrupt()
    return 0


def _work(order: Order, make_request: MakeRequest, spell: Spelling, answers: IO[str]) -> Report:
    observer = _Sender(order, answers, spell)
    try:
        return Ended(order.job, order.stage, STAGES[order.stage](order, make_request, observer))
    except GpuSaliencyError as error:
        if signals.interrupted():
            raise KeyboardInterrupt from error
        return Failed(order.job, order.stage, error.to_json(spell), kind_of(error))
    except Exception as error:
        if signals.interrupted():
            raise KeyboardInterrupt from error
        traceback.print_exc()
        wrapped = GpuSaliencyError(f"internal error: {type(error).__name__}: {error}", cure="please report it")
        return Failed(order.job, order.stage, wrapped.to_json(spell), kind_of(error))


class _Sender(Observer):
    """Sends progress to the pool, and prints messages on stderr, of which the pool keeps the last lines."""

    def __init__(self, order: Order, answers: IO[str], spell: Spelling) -> None:
        super().__init__(self._send, self._print)
        self.spell = spell
        self._order, self._answers = order, answers
        self._sent, self._step = 0.0, ""

    def _send(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage == self._step and now - self._sent < _PAUSE:
            return
        self._sent, self._step = now, progress.stage
        line = Advanced(self._order.job, self._order.stage, progress.stage, progress.done, progress.total)
        self._answers.write(report_line(line))

    @staticmethod
    def _print(message: Message) -> None:
        print(f"{message.level}: {message.text}", file=sys.stderr, flush=True)
