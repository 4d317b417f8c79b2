"""Rate and distortion for the benchmarks: PSNR inside and outside a mask, Bjontegaard delta of two curves."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from davis import Masks
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from gpu_saliency.compare import bd
from gpu_saliency.compare.plain import Plainly
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.block_error import match_format
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.planes import luma
from gpu_saliency.source.probe import probe_clip


@dataclass(frozen=True, slots=True)
class RatePoint:
    """Size and quality of one encode of a whole clip."""

    quality: float
    video_bytes: int
    inside_db: float
    """Luma PSNR inside the masks."""
    outside_db: float
    """Luma PSNR outside the masks."""


def curve(job: EncodeJob, plan: RoiPlan, masks: Masks, qualities: Sequence[float], *, plain: bool) -> list[RatePoint]:
    """Encode the clip of ``job`` at each base quality, with ``plan`` or as a plain encode."""
    points = []
    for quality in qualities:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "out" + job.spec.part_suffix)
            own = replace(job, crf=quality)
            run_saliency_encode(replace(own, channel=Plainly(job.channel)) if plain else own, plan, output)
            size = video_bytes(output, plan.frame_count)
            points.append(RatePoint(quality, size, *psnr(job.clip, output, masks)))
    return points


class Sized(Protocol):
    """A point of a rate-distortion curve; its qualities are further fields."""

    @property
    def video_bytes(self) -> int: ...


def bd_rate(plain: Sequence[Sized], other: Sequence[Sized], side: str) -> float:
    """Mean change of the rate at equal quality in per cent; negative is fewer bits.

    By `gpu_saliency.compare.bd`; NaN if the curves share no quality.
    """
    curves = ([(float(p.video_bytes), float(getattr(p, side))) for p in points] for points in (plain, other))
    return bd.bd_rate(*curves)


def bd_quality(plain: Sequence[Sized], other: Sequence[Sized], side: str) -> float:
    """Mean change of the quality at equal rate, in the unit of ``side``; positive is better.

    The quality is interpolated over the logarithm of the rate by monotone cubics and averaged over the range that both curves
    share. NaN if they share none.
    """
    curves = []
    for points in (plain, other):
        ordered = sorted((float(np.log(p.video_bytes)), getattr(p, side)) for p in points)
        curves.append(PchipInterpolator(*map(np.array, zip(*ordered, strict=True))))
    low, high = max(c.x[0] for c in curves), min(c.x[-1] for c in curves)
    return float((curves[1].integrate(low, high) - curves[0].integrate(low, high)) / (high - low)) if high > low else float("nan")


def psnr(source: Clip, encode: Path, masks: Masks) -> tuple[float, float]:
    """Luma PSNR in dB inside and outside ``masks``, over as many frames as there are masks."""
    total, pixels = np.zeros(2), np.zeros(2)
    clips = (source, probe_clip(encode))
    streams = (decode_frames(clip, DecodeTally()) for clip in clips)
    for a, b, mask in zip(*(islice(stream, len(masks)) for stream in streams), masks, strict=True):
        square = (luma(match_format(a, b)).astype(np.int32) - luma(b)) ** 2
        inside = int(square[mask].sum())
        total += (inside, int(square.sum()) - inside)
        pixels += (mask.sum(), mask.size - mask.sum())
    peak = 2 ** av.VideoFormat(clips[1].pix_fmt).components[0].bits - 1
    inside_db, outside_db = 10 * np.log10(peak**2 * pixels / total)
    return float(inside_db), float(outside_db)


def weighted_psnr(source: Clip, encode: Path, weights: NDArray[np.float32]) -> tuple[float, float]:
    """Luma PSNR in dB weighted by ``weights`` ``[frames, height, width]`` of mean 1, and unweighted."""
    weighted = whole = 0.0
    clips = (source, probe_clip(encode))
    streams = (decode_frames(clip, DecodeTally()) for clip in clips)
    for (a, b), weight in zip(zip(*streams, strict=True), weights, strict=True):
        peak = 2 ** b.format.components[0].bits - 1
        square = (luma(match_format(a, b)).astype(np.float64) - luma(b)) ** 2 / peak**2
        weighted += float((square * weight).mean())
        whole += float(square.mean())
    return tuple(-10 * float(np.log10(error / len(weights))) for error in (weighted, whole))  # type: ignore[return-value]
