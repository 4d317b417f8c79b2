"""The result of a comparison, as Python objects and as the JSON of docs/result.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.compare.bd import Delta, compare_curves
from gpu_saliency.compare.ladder import Ladder
from gpu_saliency.compare.match import Match
from gpu_saliency.compare.point import Point
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.score.metric import finite
from gpu_saliency.score.result import METRICS
from gpu_saliency.source.clip import Clip

WHOLE = tuple(name for name in METRICS if name != "cambi")
"""Metrics of the whole frame that have a delta; CAMBI falls and rises with the rate."""
REGIONS = tuple(
    f"{region}.{name}"
    for region, names in {
        "inside": ("psnr_y", "ssim_y", "vmaf", "vmaf_scaled"),
        "outside": ("psnr_y", "ssim_y"),
        "gaze": ("psnr_y", "ssim_y"),
        "plan": ("psnr_y", "ssim_y"),
    }.items()
    for name in names
)
CIRCULAR = "plan."
"""Begins the names of metrics that are weighted by the plan's own map."""


@dataclass(frozen=True, slots=True)
class EncoderResult:
    """The curves of one encoder."""

    job: EncodeJob
    """The encode at the first rate of the ladder."""
    plan: RoiPlan
    ladder: Ladder
    plain: tuple[Point, ...]
    """By the ladder, the best quality first; likewise ``roi``."""
    roi: tuple[Point, ...]
    matches: tuple[Match, ...]

    @property
    def encoder(self) -> str:
        return self.job.encoder

    @property
    def channel(self) -> str:
        assert self.job.channel is not None
        return self.job.channel.name

    def deltas(self) -> Iterator[tuple[str, Delta]]:
        """The delta of each metric that was measured, by its name."""
        for name in (*WHOLE, *REGIONS):
            if any(name in (point.metrics or {}) for point in (*self.plain, *self.roi)):
                yield name, compare_curves(self.curve("plain", name), self.curve("roi", name))

    def curve(self, kind: str, name: str) -> list[tuple[float, float]]:
        """Points (bits per second, quality) of one metric, without those that lack it."""
        points = self.plain if kind == "plain" else self.roi
        values = [(point.bits_per_second, point.metric(name)) for point in points]
        return [(rate, value) for rate, value in values if value is not None]

    def to_json(self) -> dict[str, Any]:
        job = self.job
        return {
            "encoder": self.encoder,
            "preset": job.preset,
            "channel": self.channel,
            "pix_fmt": job.pix_fmt,
            "ffmpeg": {"path": job.ffmpeg.path, "origin": job.ffmpeg.origin, "version": job.ffmpeg.version},
            "roi": self.plan.policy.to_json() | self.plan.statistics().to_json(),
            "plain": [point.to_json(self.ladder) for point in self.plain],
            "with_plan": [point.to_json(self.ladder) for point in self.roi],
            "deltas": [_delta_json(name, delta) for name, delta in self.deltas()],
            "equal_size": [
                {
                    "plain": self.plain.index(match.plain),
                    "with_plan": match.roi.to_json(self.ladder),
                    "size_percent": round(match.size_percent, 4),
                    "tries": match.tries,
                }
                for match in self.matches
            ],
            "unavailable": self.plain[0].unavailable or {},
        }


def _delta_json(name: str, delta: Delta) -> dict[str, Any]:
    return {
        "metric": name,
        "circular": name.startswith(CIRCULAR),
        "rate_percent": None if delta.rate_percent is None else finite(delta.rate_percent),
        "quality": None if delta.quality is None else finite(delta.quality),
        "overlap": None if delta.overlap is None else finite(delta.overlap),
        "reason": delta.reason,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult:
    """A finished comparison. The result of `compare_encodes`."""

    clip: Clip
    frame_count: int
    output: Path
    work: Path
    sidecar: Path
    masks: Path | None
    gaze: Path | None
    encoders: tuple[EncoderResult, ...]
    seconds: float
    command: str | None

    @property
    def report(self) -> Path:
        return self.output / "report.html"

    @property
    def blind(self) -> Path | None:
        """The page of blind pairs; ``None`` without pairs."""
        return self.output / "blind.html" if any(one.matches for one in self.encoders) else None

    @property
    def results(self) -> Path:
        return self.output / "results.json"

    def encodes(self) -> list[Point]:
        """All encodes, each once."""
        found = {
            point.path: point for one in self.encoders for point in (*one.plain, *one.roi, *(match.roi for match in one.matches))
        }
        return list(found.values())

    def to_json(self) -> dict[str, Any]:
        """The object that ``compare --json`` prints, and that ``results.json`` holds; docs/result.md describes it."""
        clip = self.clip
        return {
            "version": __version__,
            "source": {
                "path": str(clip.path),
                "width": clip.width,
                "height": clip.height,
                "pix_fmt": clip.pix_fmt,
                "frame_rate": str(clip.frame_rate),
                "frames": self.frame_count,
            },
            "output": str(self.output),
            "report": str(self.report),
            "blind": None if self.blind is None else str(self.blind),
            "results": str(self.results),
            "work": str(self.work),
            "sidecar": str(self.sidecar),
            "masks": None if self.masks is None else str(self.masks),
            "gaze": None if self.gaze is None else str(self.gaze),
            "command": self.command,
            "encoders": [one.to_json() for one in self.encoders],
            "reused": sum(point.reused for point in self.encodes()),
            "made": sum(not point.reused for point in self.encodes()),
            "seconds": round(self.seconds, 3),
        }
