"""`PreviewSession`: analyses one clip in a thread, so that viewers can show the track while it grows."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.source_notes import report_source
from gpu_saliency.analysis.track import Samples
from gpu_saliency.encode.source_log import LogCheck
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.preview.growing import GrowingTrack
from gpu_saliency.preview.planner import Planner, View
from gpu_saliency.progress import Observer
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.sampling import KEYFRAME
from gpu_saliency.texts import printable

_REFRESH_SECONDS = 0.5
"""Least time between two views while the analysis runs."""
_REFRESH_SHARE = 0.1
"""Largest share of the time that plans may take while the analysis runs; slow plans reduce the number of new views."""


class _Closed(Exception):  # noqa: N818 - it cancels the analysis and is no error
    pass


class PreviewSession:
    """The analysis of one clip, shared by all its viewers. A context manager: the analysis ends with the block."""

    def __init__(
        self,
        clip: Clip,
        settings: AnalysisSettings,
        sidecar: Path | None = None,
        observer: Observer | None = None,
        *,
        strict: bool = False,
        per_map: bool = False,
    ) -> None:
        """``sidecar`` is read instead of an analysis if the file exists; otherwise the analysis writes it.

        ``observer`` receives what the analysis found about the source, in the thread of the analysis. ``strict`` refuses a source
        that is damaged or incomplete. ``per_map`` is that of the encode's channel (`plan_track`).
        """
        self.clip, self.name, self.origin = clip, printable(clip.path.name), _origin(settings)
        self.planner = Planner(clip, per_map=per_map)
        self._settings, self._sidecar = settings, sidecar
        self._observer, self._strict = observer or Observer(), strict
        self._growing: GrowingTrack | None = GrowingTrack()
        self._lock = threading.Lock()
        self._view = View(0, None, finished=False)
        self._refreshed = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._analyse, name="analysis", daemon=True)

    def __enter__(self) -> PreviewSession:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _analyse(self) -> None:
        assert self._growing is not None
        growing = self._growing

        def end_if_closed() -> None:
            if self._closing.is_set():
                raise _Closed

        def add(samples: Samples, tally: DecodeTally | None) -> None:
            growing.add(samples, tally)
            end_if_closed()

        try:
            with LogCheck(self.clip, at_key_frames=self._settings.every == KEYFRAME) as check:
                found, _ = load_saliency_sidecar(self.clip, self._settings, self._sidecar, strict=self._strict, on_samples=add)
                found = check.added_to(found, strict=self._strict, while_waiting=end_if_closed)
            report_source(self.clip, found, self._observer)
        except _Closed:
            return
        except GpuSaliencyError as error:
            self._end(View(0, growing.track(), finished=False, error=error))
        except Exception as error:
            problem = f"a defect of this program: {type(error).__name__}: {error}"
            failure = GpuSaliencyError(problem, cure="report it with this message")
            self._end(View(0, growing.track(), finished=False, error=failure))
        else:
            self._end(View(0, found.track, finished=True, sidecar=found))

    def _end(self, last: View) -> None:
        with self._lock:
            self._growing = None
            self._view = replace(last, version=self._view.version + 1)

    def view(self) -> View:
        """The current snapshot; while the analysis runs, a new one at most every half second."""
        with self._lock:
            now = time.monotonic()
            pause = max(_REFRESH_SECONDS, self.planner.seconds / _REFRESH_SHARE) if self._view.track is not None else 0.0
            if self._growing is not None and now - self._refreshed >= pause:
                known = 0 if self._view.track is None else len(self._view.track.sample_frame)
                if self._growing.samples > known:
                    self._view = View(self._view.version + 1, self._growing.track(), finished=False)
                self._refreshed = now
            return self._view


def _origin(settings: AnalysisSettings) -> str:
    if settings.maps is None:
        return f"model {settings.model_path.stem}"
    return f"given maps {Path(settings.maps).resolve().name}"
