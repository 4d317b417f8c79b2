"""PSNR and SSIM of luma weighted pixel by pixel, for several weightings in one pass over both clips."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.progress import Advance
from gpu_saliency.score.metric import Metric, psnr
from gpu_saliency.score.pair import Pair
from gpu_saliency.score.ssim import MARGIN, ssim_map
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.planes import luma

Weights = NDArray[np.float32]
"""``[height, width]``, 0 or more; those of a map have the mean 1, those of a mask are 0 or 1."""


@dataclass(slots=True)
class WeightedSums:
    """Weighted luma error and SSIM of the frames so far, for one weighting."""

    peak: float
    mse: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    """Mean weight of each frame; 0 where nothing counts."""
    _error: float = 0.0
    _similar: float = 0.0
    _similar_weight: float = 0.0

    def add(self, square: NDArray[np.float32], similar: NDArray[np.float32] | None, weights: Weights) -> None:
        """Count a frame: ``square`` is the squared error of each pixel, ``similar`` its map of SSIM."""
        total, error = float(weights.sum(dtype=np.float64)), _dot(weights, square)
        self.weight.append(total / weights.size)
        self.mse.append(error / total if total else math.nan)
        self._error += error
        if similar is None:
            self.ssim.append(math.nan)
            return
        own = weights[MARGIN:-MARGIN, MARGIN:-MARGIN]
        total, likeness = float(own.sum(dtype=np.float64)), _dot(own, similar)
        self.ssim.append(likeness / total if total else math.nan)
        self._similar += likeness
        self._similar_weight += total

    def metrics(self, pixels: int) -> dict[str, Metric]:
        """``psnr_y`` and ``ssim_y``; pooled over all pixels of all frames, by weight. ``pixels`` are those of a frame."""
        found = {}
        weight = sum(self.weight) * pixels
        if weight:
            frames = [math.nan if math.isnan(mse) else psnr(mse, self.peak) for mse in self.mse]
            found["psnr_y"] = Metric.of(frames, "dB", psnr(self._error / weight, self.peak))
        if self._similar_weight:
            found["ssim_y"] = Metric.of(self.ssim, "", self._similar / self._similar_weight)
        return found


def weigh(pair: Pair, weightings: Iterable[Mapping[str, Weights]], frames: int, advance: Advance) -> dict[str, WeightedSums]:
    """Sums of the first ``frames`` frames for each weighting; ``weightings`` has the weights of each frame by name.

    Raises `SourceError` if a file ends before ``frames``.
    """
    sums: dict[str, WeightedSums] = {}
    done = 0
    # The weights come first: they end after ``frames``, and no further picture is decoded.
    streams = (weightings, _luma(pair.reference, pair), _luma(pair.distorted, pair))
    for done, (weights, a, b) in enumerate(zip(*streams, strict=False), 1):
        square, similar = np.square(a - b), ssim_map(a, b, pair.peak)
        for name, own in weights.items():
            sums.setdefault(name, WeightedSums(pair.peak)).add(square, similar, own)
        advance(done, frames)
    if done < frames:
        raise SourceError(
            f"{pair.distorted.path} and {pair.reference.path}: have {done} frames in common, ffmpeg decoded {frames}",
            cure="give intact files",
        )
    return sums


def _luma(clip: Clip, pair: Pair) -> Iterator[NDArray[np.float32]]:
    """Luma of each frame in the format of ``pair``, as code values."""
    for frame in decode_frames(clip, DecodeTally()):
        yield luma(_in_format(frame, pair)).astype(np.float32)


def _in_format(frame: av.VideoFrame, pair: Pair) -> av.VideoFrame:
    """``frame`` as the filter graph converts it: another format, the same range."""
    if frame.format.name.replace("yuvj", "yuv") == pair.pix_fmt:
        return frame
    color_range = ColorRange.JPEG if pair.full_range else ColorRange.MPEG
    return frame.reformat(
        format=pair.pix_fmt, interpolation=Interpolation.BICUBIC, src_color_range=color_range, dst_color_range=color_range
    )


def _dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Sum of products, rows in float32 and their sum in float64."""
    return float(np.einsum("ij,ij->i", a, b).sum(dtype=np.float64))
