"""`Measuring`: runs a viewer's trial encodes in a thread, with progress and cancellation; the viewer polls its state."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.errors import GpuSaliencyError, Interrupted
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.preview.estimator import Comparison, Draw, Estimate, Estimator, FoundStrength
from gpu_saliency.progress import Observer, Progress

KINDS = ("clip", "moment", "auto", "compare")
"""What trial encodes are made for: size and quality of the clip, or of the two seconds around a frame; the strongest plan; or the
pictures of the second around a frame."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The state of one request for trial encodes."""

    number: int
    """Number of this state; it rises with each change."""
    kind: str
    state: str
    """``waiting`` (for another viewer's), ``running``, ``done``, ``failed`` or ``cancelled``."""
    progress: Progress | None = None
    result: Estimate | FoundStrength | Comparison | None = None
    error: GpuSaliencyError | None = None

    @property
    def is_active(self) -> bool:
        return self.state in ("waiting", "running")


class Measuring:
    """The trial encodes of one viewer, of which the latest request counts; `cancel` ends them and removes their files.

    The ``pool`` of one thread is shared by all viewers, so that encodes of several viewers do not compete for the cores.
    """

    def __init__(self, estimator: Estimator, pool: ThreadPoolExecutor, draw: Draw | None = None) -> None:
        """``draw`` makes the pictures of comparisons; without it there are none."""
        self._estimator, self._pool, self._draw = estimator, pool, draw
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._future: Future[None] | None = None
        self._state: Measurement | None = None
        self._number = 0

    @property
    def state(self) -> Measurement | None:
        """The latest request; ``None`` before the first one."""
        return self._state

    def start(self, kind: str, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, frame: int) -> None:
        """Request a measurement of ``kind`` (see `KINDS`) in place of an earlier one."""
        self.cancel()
        self._cancel = cancel = threading.Event()
        self._set(cancel, Measurement(0, kind, "waiting"))
        self._future = self._pool.submit(self._run, cancel, kind, sidecar, policy, crf, frame)

    def cancel(self) -> None:
        """End the request, if there is one that has not ended."""
        self._cancel.set()
        with self._lock:
            if self._state is not None and self._state.is_active:
                self._number += 1
                self._state = replace(self._state, number=self._number, state="cancelled")
        if self._future is not None:
            self._future.cancel()

    def drop_result(self) -> None:
        """Free the memory of the result, which has been used."""
        with self._lock:
            if self._state is not None:
                self._state = replace(self._state, result=None)

    def _set(self, cancel: threading.Event, state: Measurement) -> None:
        """Publish ``state`` unless its request, which ``cancel`` belongs to, was cancelled."""
        with self._lock:
            if cancel is self._cancel and not cancel.is_set():
                self._number += 1
                self._state = replace(state, number=self._number)

    def _run(self, cancel: threading.Event, kind: str, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, frame: int) -> None:
        observer = Observer(lambda progress: self._set(cancel, Measurement(0, kind, "running", progress)), cancel=cancel)
        self._set(cancel, Measurement(0, kind, "running"))
        result: Estimate | FoundStrength | Comparison
        try:
            if kind == "auto":
                result = self._estimator.find_strength(sidecar, policy, crf, observer)
            elif kind == "compare":
                assert self._draw is not None
                result = self._estimator.compare(sidecar, policy, crf, frame, self._draw, observer)
            else:
                result = self._estimator.estimate(sidecar, policy, crf, frame if kind == "moment" else None, observer)
        except Interrupted:
            return
        except GpuSaliencyError as error:
            self._set(cancel, Measurement(0, kind, "failed", error=error))
        except Exception as error:
            problem = f"a defect of this program: {type(error).__name__}: {error}"
            self._set(cancel, Measurement(0, kind, "failed", error=GpuSaliencyError(problem, cure="report it with this message")))
        else:
            self._set(cancel, Measurement(0, kind, "done", result=result))
