"""`IntentReport`: what was asked, what was tried, what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.trial.intent import Intent
from gpu_saliency.trial.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentReport:
    """What was found for an `Intent`, and how. ``None`` in a field: it was not asked for, or not measured."""

    asked: Intent
    trials: tuple[Trial, ...] = ()
    frames: int | None = None
    """Frames that one trial measures."""
    windows: int | None = None
    """Number of stretches in which these frames lie."""
    whole_clip: bool | None = None
    """Whether the trials encode every frame of the clip."""
    seconds: float = 0.0
    vmaf_model: str | None = None
    scored_by: str | None = None
    """Path of the ffmpeg that measured VMAF."""
    crf: float | None = None
    """Base quality found."""
    bitrate: int | None = None
    """Bits per second of video, computed from the size."""
    vmaf: float | None = None
    """VMAF v1 of the trial at the base quality found."""
    video_bytes: int | None = None
    """Predicted bytes of the video stream."""
    size_bytes: int | None = None
    """Predicted bytes of the output file."""
    offset: float | None = None
    """Strength found."""
    offset_crf: float | None = None
    """Base quality at which the strength was found."""
    offset_reused: bool | None = None
    """Whether the strength was taken from the sidecar's record of an earlier encode."""
    vmaf_gain: float | None = None
    """VMAF v1 of the whole frame minus that of a plain encode of equal size, at the strength found."""
    plain_share: float | None = None
    """Modelled share of the bits that a plain encode gives the most looked-at quarter of the blocks, 0..1."""
    modelled_share: float | None = None
    """The same share with the plan."""
    realised_share: float | None = None
    """The same share with the QP read back from the encode, for the frames that the proof compares."""
    realised_share_modelled: float | None = None
    """The modelled share of those frames."""

    def to_json(self) -> dict[str, Any]:
        """The object ``intent`` of results and of the sidecar's record; docs/result.md describes it."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("asked", "trials")}
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in facts.items()}
        return asdict(self.asked) | rounded | {"trials": [trial.to_json() for trial in self.trials]}

    def to_record(self) -> dict[str, Any]:
        """The object that a sidecar's record of an encode stores under ``intent``."""
        return {"version": __version__} | self.to_json()

    def with_found(self, **found: Any) -> IntentReport:
        """Return a copy with the fields ``found``."""
        return replace(self, **found)
