"""Warns of a file that was scored although it is incomplete or damaged: the score is then not that of the whole clip."""

from __future__ import annotations

from gpu_saliency.analysis.source_notes import warn_of_shortfall
from gpu_saliency.encode.source_log import SourceLog
from gpu_saliency.progress import Observer
from gpu_saliency.score.pair import Pair
from gpu_saliency.source.completeness import shortfall_of_packets


class PairLog:
    """Collects the errors in the log of the ffmpeg that reads both files of a pair."""

    def __init__(self, pair: Pair) -> None:
        self._logs = [SourceLog(pair.reference), SourceLog(pair.distorted)]

    def add(self, line: str) -> None:
        """Look at a ``line`` of level ``error`` or worse. Called in the thread that listens to ffmpeg."""
        for log in self._logs:
            log.add(line)

    def warning(self) -> str | None:
        """The errors as one line; ``None`` without any. It names both files where the errors could be of either."""
        logs = [log for log in self._logs if log.reasons()]
        if not logs:
            return None
        names = " or ".join(dict.fromkeys(str(log.clip.path) for log in logs))
        return f"{names}: damaged ({'; '.join(logs[0].reasons())})"


def warn_of_damage(pair: Pair, frames: int, logs: PairLog, observer: Observer, *, limited: bool) -> None:
    """Warn if a file of ``pair``, of which ``frames`` were compared, is not complete, or else of the errors in ``logs``.

    ``limited`` is whether the user limited the frames: the rest of the files then does not matter.
    """
    is_warned = False
    for clip in () if limited else dict.fromkeys((pair.reference, pair.distorted)):
        shortfall = shortfall_of_packets(clip, frames)
        warn_of_shortfall(clip, shortfall, observer)
        is_warned |= shortfall is not None
    warning = logs.warning()
    if warning is not None and not is_warned:
        observer.warn(warning)
