"""The arithmetic of the benchmarks: weighted PSNR and the changes of rate and quality between two curves."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from rate_distortion import bd_quality, bd_rate, weighted_psnr

from gpu_saliency.source.probe import probe_clip

WIDTH, HEIGHT = 32, 16


@dataclass(frozen=True, slots=True)
class Sized:
    video_bytes: int
    quality: float


def test_weighted_psnr_equals_a_case_computed_by_hand(tmp_path: Path) -> None:
    """Two frames. Errors: 2 codes in the left half of the first, 4 in the right half of the second, where the weight is 0.

    The left half weighs 2 and the right half 0. Weighted: (2 * 4 / 2 + 0) / 2 = 2. Unweighted: (4 / 2 + 16 / 2) / 2 = 5.
    """
    black = np.full((2, HEIGHT, WIDTH), 100, np.uint8)
    changed = black.copy()
    changed[0, :, : WIDTH // 2] += 2
    changed[1, :, WIDTH // 2 :] += 4
    source, encode = (_write(tmp_path / name, lumas) for name, lumas in (("a.mkv", black), ("b.mkv", changed)))
    weights = np.zeros((2, HEIGHT, WIDTH), np.float32)
    weights[:, :, : WIDTH // 2] = 2
    weighted, whole = weighted_psnr(probe_clip(source), encode, weights)
    assert weighted == pytest.approx(10 * np.log10(255**2 / 2), abs=1e-6)
    assert whole == pytest.approx(10 * np.log10(255**2 / 5), abs=1e-6)


def test_a_curve_of_a_tenth_fewer_bits_has_that_rate_change() -> None:
    plain = [Sized(1000, 30.0), Sized(2000, 33.0), Sized(4000, 36.0), Sized(8000, 39.0)]
    other = [Sized(round(0.9 * point.video_bytes), point.quality) for point in plain]
    assert bd_rate(plain, other, "quality") == pytest.approx(-10, abs=0.01)


def test_a_curve_of_one_point_more_has_that_change_of_quality() -> None:
    plain = [Sized(1000, 30.0), Sized(2000, 33.0), Sized(4000, 36.0), Sized(8000, 39.0)]
    assert bd_quality(plain, [Sized(point.video_bytes, point.quality + 1) for point in plain], "quality") == pytest.approx(1)
    # Half the bits at equal quality are 3 dB on this curve; the sizes that both share are 1000 to 4000.
    halved = [Sized(point.video_bytes // 2, point.quality) for point in plain]
    assert bd_quality(plain, halved, "quality") == pytest.approx(3)


def test_curves_without_a_common_range_have_no_change() -> None:
    low, high = [Sized(10, 1.0), Sized(20, 2.0)], [Sized(1000, 30.0), Sized(2000, 33.0)]
    assert np.isnan(bd_rate(low, high, "quality"))
    assert np.isnan(bd_quality(low, high, "quality"))


def _write(path: Path, lumas: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        for i, luma in enumerate(lumas):
            frame = av.VideoFrame.from_ndarray(luma, format="gray")
            frame.pts, frame.time_base = i, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
