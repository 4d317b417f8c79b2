"""One encode of a comparison: its rate and its quality."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpu_saliency.compare.ladder import Ladder
from gpu_saliency.score.metric import finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An encode of the whole clip, and its scores. Produced by `Bench`."""

    kind: str
    """``plain`` or ``roi``."""
    value: float
    """The rate that was asked for: the base quality, or bits per second."""
    label: str
    """The rate for people, such as ``CRF 26``."""
    crf_used: float | None
    """Base quality given to the encoder: ``value`` plus the channel's quality shift; ``None`` for a bit rate."""
    path: Path
    video_bytes: int
    bits_per_second: float
    seconds: float
    """Time of the encode, when it was made."""
    parts: int
    commands: tuple[str, ...]
    """Shell lines of the encode, and of the score once there is one."""
    reused: bool
    """Whether the encode was there already."""
    metrics: dict[str, float] | None = None
    """Pooled values by name: ``vmaf`` of the whole frame, ``gaze.psnr_y`` of a region; ``None``: not scored."""
    unavailable: dict[str, str] | None = None
    """Why a metric is missing."""

    def scored(self, metrics: dict[str, float], unavailable: dict[str, str], command: str) -> Point:
        return replace(self, metrics=metrics, unavailable=unavailable, commands=(*self.commands, command))

    def metric(self, name: str) -> float | None:
        """The pooled value; infinite without any error, ``None`` where it was not measured."""
        return None if self.metrics is None else self.metrics.get(name)

    def to_json(self, ladder: Ladder) -> dict[str, Any]:
        rounded = None if self.metrics is None else {name: finite(value) for name, value in self.metrics.items()}
        return {
            "crf": None if ladder.is_bitrate else self.value,
            "bitrate": int(self.value) if ladder.is_bitrate else None,
            "crf_used": self.crf_used,
            "path": str(self.path),
            "video_bytes": self.video_bytes,
            "bits_per_second": round(self.bits_per_second, 1),
            "seconds": round(self.seconds, 3),
            "parts": self.parts,
            "reused": self.reused,
            "metrics": rounded,
            "commands": list(self.commands),
        }


def pooled_metrics(score: dict[str, Any]) -> dict[str, float]:
    """The pooled values of a `Score` in JSON, by name; without any error a dB value is infinite."""
    found = {name: _pooled(metric) for name, metric in score["metrics"].items() if metric is not None}
    for region in score["regions"]:
        for name, metric in region["metrics"].items():
            if metric is not None and region["name"] != "whole":
                found[f"{region['name']}.{name}"] = _pooled(metric)
    return found


def _pooled(metric: dict[str, Any]) -> float:
    if metric["pooled"] is not None:
        return float(metric["pooled"])
    return math.inf if metric["unit"] == "dB" else math.nan
