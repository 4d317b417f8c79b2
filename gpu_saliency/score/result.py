"""The result of a comparison, as Python objects and as the JSON of docs/result.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from gpu_saliency.encode.ffmpeg import Ffmpeg
from gpu_saliency.score.metric import Metric, finite

METRICS = (
    *("psnr", "psnr_y", "psnr_u", "psnr_v", "ssim", "ssim_y", "ssim_u", "ssim_v", "xpsnr_y", "xpsnr_u", "xpsnr_v"),
    *("vmaf", "vmaf_scaled", "vmaf_far", "vmaf_neg", "vmaf_neg_scaled", "cambi"),
)
"""The metrics of the whole frame, in the order of the result."""
REGION_METRICS = ("psnr_y", "ssim_y", "vmaf", "vmaf_scaled")
"""The metrics of a region; VMAF only inside masks."""


@dataclass(frozen=True, slots=True)
class ScoreRegion:
    """Quality of a part of the frame, or of all of it weighted by a map."""

    name: str
    """``whole`` (weight 1 everywhere), ``inside``, ``outside`` (of the masks), ``gaze`` or ``plan``."""
    circular: bool
    """Whether the weights are the plan's own map: such a score rewards any encode that follows the plan, right or wrong."""
    frames: int
    """Frames that have any weight."""
    share: float | None
    """Mean part of the frame inside or outside of the masks, 0..1; ``None`` for ``whole`` and for maps."""
    metrics: dict[str, Metric]
    """By the names of `REGION_METRICS`."""
    map: str | None = None
    """Of ``plan``: the sidecar's map that weighs, ``gaze``, or ``saliency`` where it has no gaze; ``None`` for other regions."""

    @property
    def names(self) -> frozenset[str]:
        """The metrics that this region has: all inside the masks, and no VMAF elsewhere."""
        return frozenset(REGION_METRICS if self.name == "inside" else REGION_METRICS[:2])

    def to_json(self) -> dict[str, Any]:
        metrics = {
            name: self.metrics[name].to_json() if name in self.metrics else None for name in REGION_METRICS if name in self.names
        }
        share = None if self.share is None else finite(self.share)
        facts = {"name": self.name, "circular": self.circular, "map": self.map, "frames": self.frames}
        return facts | {"share": share, "metrics": metrics}


@dataclass(frozen=True, slots=True)
class Score:
    """The quality of ``distorted`` against ``reference``. The result of `score_encode`; what each number is: docs/score.md."""

    reference: Path
    distorted: Path
    frames: int
    width: int
    height: int
    frame_rate: Fraction
    pix_fmt: str
    """The format in which PSNR, SSIM and XPSNR were compared."""
    scaled_to: tuple[int, int] | None
    """Width and height for the metrics named ``scaled``; ``None``: the clip is not below 1080p, and they are the native ones."""
    models: dict[str, str]
    """The VMAF model of each metric."""
    ffmpeg: Ffmpeg
    metrics: dict[str, Metric]
    """Of the whole frame, by the names of `METRICS`; those in ``unavailable`` are left out."""
    regions: tuple[ScoreRegion, ...] = ()
    unavailable: dict[str, str] = field(default_factory=dict)
    """Why a metric is missing, by its name; those of a region as ``inside.vmaf``."""
    start: float = 0.0
    """Seconds after the first frame of ``reference`` where the comparison begins."""
    duration: float = 0.0
    """Seconds of ``reference`` that are compared; 0: to its end."""
    warnings: tuple[str, ...] = ()
    """Each warning, such as that a file is damaged or shorter than it declares."""
    plot: Path | None = None
    command: tuple[str, ...] = ()
    """ffmpeg's command line of the whole frame; not in `to_json`. Its filters wrote to a temporary folder, here named ``score``."""

    def region(self, name: str) -> ScoreRegion | None:
        """The region of that name; ``None`` where it was not measured."""
        return next((region for region in self.regions if region.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The object that ``score --json`` prints; docs/result.md describes it."""
        return {
            "reference": str(self.reference),
            "distorted": str(self.distorted),
            "start": self.start,
            "duration": self.duration,
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "frame_rate": str(self.frame_rate),
            "pix_fmt": self.pix_fmt,
            "scaled_to": None if self.scaled_to is None else list(self.scaled_to),
            "models": self.models,
            "ffmpeg": {"path": self.ffmpeg.path, "origin": self.ffmpeg.origin, "version": self.ffmpeg.version},
            "metrics": {name: self.metrics[name].to_json() if name in self.metrics else None for name in METRICS},
            "regions": [region.to_json() for region in self.regions],
            "unavailable": self.unavailable,
            "warnings": list(self.warnings),
            "plot": None if self.plot is None else str(self.plot),
        }
