"""What an analysis found about its source, in words: damage as warnings, and how its time stamps and sizes were treated."""

from __future__ import annotations

import numpy as np

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.errors import SourceError, setting
from gpu_saliency.progress import Observer
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.rate import is_bare
from gpu_saliency.source.shortfall import Shortfall

LONG_WAIT = 30.0
"""Seconds without a key frame from which a plan of key frames is reported as coarse."""


def check_complete(clip: Clip, sidecar: Sidecar) -> None:
    """Raise `SourceError` if the analysis found ``clip`` damaged or incomplete, or did not decode all of it."""
    refuse_shortfall(clip, sidecar.analysis.shortfall)
    if sidecar.analysis.at_key_frames:
        cure = f"make the maps without {setting('every')}, or leave {setting('strict')} out"
        raise SourceError(f"{clip.path}: the maps are of key frames, and the frames between were not decoded", cure=cure)


def refuse_shortfall(clip: Clip, shortfall: Shortfall | None) -> None:
    """Raise `SourceError` if ``clip`` has a ``shortfall``."""
    if shortfall is not None:
        cure = f"give an intact file, or leave {setting('strict')} out to use what can be decoded"
        raise SourceError(f"{clip.path}: {shortfall.text()}", cure=cure, evidence={"shortfall": shortfall.to_json()})


def report_damage(clip: Clip, sidecar: Sidecar, observer: Observer) -> None:
    """Warn if ``clip`` was found damaged or incomplete."""
    warn_of_shortfall(clip, sidecar.analysis.shortfall, observer)


def warn_of_shortfall(clip: Clip, shortfall: Shortfall | None, observer: Observer) -> None:
    """Warn if ``clip`` has a ``shortfall``."""
    if shortfall is not None:
        observer.warn(f"{clip.path}: {shortfall.text()}")


def warn_of_changes(clip: Clip, formats: tuple[str, ...], observer: Observer) -> None:
    """Warn if the frames of ``clip`` have several ``formats`` (size and pixel format)."""
    if len(formats) > 1:
        first, *others = formats
        observer.warn(f"{clip.path}: the frames change to {', '.join(others)}; all are scaled to {first}, that of the first frame")


def _warn_of_long_waits(clip: Clip, sidecar: Sidecar, observer: Observer) -> None:
    """Warn if the maps are of key frames that are far apart: one map then stands for much of the clip."""
    track = sidecar.track
    if not track.at_key_frames:
        return
    edges = np.append(track.sample_frame, track.frame_count)
    longest = float(np.diff(edges).max() / clip.frame_rate)
    if longest > LONG_WAIT:
        cure = f"({setting('analysis_fps')} makes maps between)"
        observer.warn(observer.spelled(f"{clip.path}: has no key frame for {longest:.0f} s, which one map stands for {cure}"))


def report_source(clip: Clip, sidecar: Sidecar, observer: Observer) -> None:
    """Warn of damage, and say how time stamps and sizes were treated where the source has none that can be used as they are."""
    analysis = sidecar.analysis
    report_damage(clip, sidecar, observer)
    warn_of_changes(clip, analysis.frame_formats, observer)
    _warn_of_long_waits(clip, sidecar, observer)
    rate = f"{float(clip.frame_rate):.6g} frames per second"
    if analysis.clock == "counted" and not clip.is_raw:
        cure = f" ({setting('frame_rate')} sets another rate)" if is_bare(clip.container) else ""
        observer.say(observer.spelled(f"{clip.path}: has no usable time stamps; its frames are counted at {rate}{cure}"))
    if analysis.clock == "sorted":
        observer.say(f"{clip.path}: its time stamps are not in the order of presentation and were sorted")
    if analysis.clock == "continued":
        observer.say(f"{clip.path}: its clock restarts; the time stamps of video and audio are continued")
