"""The rules of ``score`` without ffmpeg: sizes and models, areas, windows, pools, the plot."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gpu_saliency.encode.ffmpeg import Ffmpeg
from gpu_saliency.errors import SourceError
from gpu_saliency.maps.fit import fit
from gpu_saliency.score.maps import inside
from gpu_saliency.score.metric import Metric, psnr
from gpu_saliency.score.pair import make_pair
from gpu_saliency.score.plot import draw_plot
from gpu_saliency.score.result import Score
from gpu_saliency.score.ssim import MARGIN, ssim_map
from gpu_saliency.score.views import scaled_size, views_of
from gpu_saliency.score.weighted import WeightedSums
from gpu_saliency.score.whole import mask_planes
from gpu_saliency.source.clip import Clip, ColorTags


@pytest.mark.parametrize(
    ("size", "scaled"),
    [((854, 480), (1920, 1080)), ((320, 192), (1920, 1152)), ((480, 854), (1080, 1920)), ((1280, 719), (1920, 1078))],
)
def test_small_clips_are_scaled_to_1920_on_the_longer_side(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    native, large = views_of(*size, Fraction(24))
    assert (native.width, native.height) == size
    assert (large.width, large.height) == scaled_size(*size) == scaled
    assert set(native.models.values()) <= set(large.models.values())


@pytest.mark.parametrize("size", [(1920, 1080), (1920, 800), (1440, 1080), (1080, 1920), (3840, 2160)])
def test_clips_of_1080p_are_not_scaled(size: tuple[int, int]) -> None:
    (view,) = views_of(*size, Fraction(24))
    assert (view.width, view.height, set(view.models)) == (*size, {"vmaf", "vmaf_far", "vmaf_neg"})


@pytest.mark.parametrize(
    ("size", "rate", "models"),
    [
        ((1920, 1080), 30, ("vmaf_v1.0.16_3d0h", "vmaf_v1.0.16_5d0h", "vmaf_v0.6.1neg")),
        ((2560, 1440), 60, ("vmaf_v1.0.16_hfr_3d0h", "vmaf_v1.0.16_hfr_5d0h", "vmaf_v0.6.1neg")),
        ((3840, 2160), 24, ("vmaf_v1.0.16_1d5h_2160", "vmaf_v1.0.16_3d0h_2160", "vmaf_4k_v0.6.1neg")),
        ((2160, 3840), 50, ("vmaf_v1.0.16_hfr_1d5h_2160", "vmaf_v1.0.16_hfr_3d0h_2160", "vmaf_4k_v0.6.1neg")),
    ],
)
def test_models_follow_size_and_rate(size: tuple[int, int], rate: int, models: tuple[str, str, str]) -> None:
    (view,) = views_of(*size, Fraction(rate))
    assert tuple(view.models[name] for name in ("vmaf", "vmaf_far", "vmaf_neg")) == models


def test_pictures_that_are_too_small_for_a_model_are_named() -> None:
    native, scaled = views_of(160, 96, Fraction(24))
    assert native.too_small() == {"vmaf": "160x96 is too small for it: at least 216x160 is needed"}
    assert scaled.too_small() == {}
    assert set(views_of(16, 16, Fraction(24))[0].too_small()) == {"vmaf", "vmaf_neg", "cambi"}


def clip(**fields: object) -> Clip:
    return replace(Clip(Path("a"), 64, 48, "yuv420p", Fraction(24), 5), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "distorted", "common"),
    [
        ("yuv444p10le", "yuv420p", "yuv420p10le"),
        ("yuv420p", "yuv422p10le", "yuv422p10le"),
        ("gbrp", "yuv444p", "yuv444p"),
        ("yuvj420p", "yuvj420p", "yuv420p"),
        ("gray", "yuv420p12le", "yuv420p12le"),
        ("nv12", "p010le", "yuv420p10le"),
    ],
)
def test_the_common_format_has_the_encodes_chroma_and_the_greater_depth(reference: str, distorted: str, common: str) -> None:
    assert make_pair(clip(pix_fmt=reference), clip(pix_fmt=distorted, color=_range_of(reference, distorted))).pix_fmt == common


def _range_of(reference: str, distorted: str) -> ColorTags:
    """Tags that give the encode the range of a grey reference, which is full."""
    return ColorTags(color_range=2) if reference == "gray" and distorted != "gray" else ColorTags()


def test_rates_of_one_per_cent_and_untagged_ranges_fit() -> None:
    pair = make_pair(clip(), clip(frame_rate=Fraction(24000, 1001), color=ColorTags(color_range=1)))
    assert (pair.full_range, pair.depth, pair.peak) == (False, 8, 255)
    with pytest.raises(SourceError, match="is turned by 90 degrees"):
        make_pair(clip(), clip(rotation=90))


def test_maps_are_scaled_by_area() -> None:
    one = np.array([[0, 4], [8, 12]], np.float32)
    np.testing.assert_allclose(fit(one, 4, 4), np.kron(one, np.ones((2, 2))))
    np.testing.assert_allclose(fit(one, 1, 1), [[6]])
    np.testing.assert_allclose(fit(one, 3, 2)[0], [0, 2, 4])
    np.testing.assert_array_equal(next(inside([np.array([[0.49, 0.5]], np.float32)])), [[False, True]])


def test_mask_planes_of_an_odd_picture() -> None:
    mask = np.zeros((3, 3), np.bool_)
    mask[:2, 0] = True
    planes = np.frombuffer(mask_planes(mask), np.uint8)
    np.testing.assert_array_equal(planes[:9].reshape(3, 3), np.where(mask, 255, 0))
    np.testing.assert_array_equal(planes[9:].reshape(2, 2, 2), [[[255, 0], [0, 0]]] * 2)


@pytest.mark.parametrize("peak", [255, 1023])
def test_ssim_is_that_of_its_definition(peak: int) -> None:
    """Computed again with scipy's Gaussian filter, which cut to 11 taps is the same window."""
    random = np.random.default_rng(1)
    a = random.integers(0, peak, (70, 50)).astype(np.float64)
    b = np.clip(a + random.normal(0, peak / 20, a.shape), 0, peak)

    def blur(values: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(values, 1.5, truncate=MARGIN / 1.5)[MARGIN:-MARGIN, MARGIN:-MARGIN])

    mean_a, mean_b = blur(a), blur(b)
    cov = blur(a * b) - mean_a * mean_b
    var = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    expected = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var + c2))
    found = ssim_map(a.astype(np.float32), b.astype(np.float32), peak)
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert ssim_map(np.zeros((10, 50), np.float32), np.zeros((10, 50), np.float32), peak) is None


def test_weighted_sums_pool_by_weight_and_skip_frames_without() -> None:
    sums = WeightedSums(255)
    square = np.zeros((12, 12), np.float32)
    square[:, 6:] = 8
    similar = np.full((2, 2), 0.5, np.float32)
    left = np.zeros((12, 12), np.float32)
    left[:, :6] = 1
    sums.add(square, similar, 1 - left)
    sums.add(square, similar + 0.25, np.ones((12, 12), np.float32))
    sums.add(square, similar, np.zeros((12, 12), np.float32))
    found = sums.metrics(144)
    assert found["psnr_y"].frames[:2] == pytest.approx([psnr(8, 255), psnr(4, 255)])
    assert math.isnan(found["psnr_y"].frames[2])
    assert found["psnr_y"].pooled == pytest.approx(psnr((72 * 8 + 144 * 4) / (72 + 144), 255))
    assert found["ssim_y"].pooled == pytest.approx((2 * 0.5 + 4 * 0.75) / 6)


def test_pools_skip_what_does_not_apply_and_keep_the_infinite() -> None:
    metric = Metric.of([3.0, math.nan, 1.0, math.inf], "dB", 2.0)
    assert (metric.percentile(0), metric.percentile(5), metric.percentile(100)) == (1, 1, math.inf)
    assert metric.to_json() == {
        "unit": "dB",
        "pooled": 2,
        "mean": None,
        "harmonic_mean": None,
        "p5": 1,
        "p95": None,
        "min": 1,
        "max": None,
        "frames": [3, None, 1, None],
    }
    assert math.isnan(Metric.of([math.nan]).mean)
    assert Metric.of([0.0, 2.0]).harmonic_mean == pytest.approx(1 / ((1 + 1 / 3) / 2) - 1)


@pytest.mark.parametrize("frames", [1, 3, 5000])
def test_a_plot_of_any_length_can_be_drawn(frames: int) -> None:
    values = np.sin(np.arange(frames))
    values[frames // 2] = math.inf
    ffmpeg = Ffmpeg("ffmpeg", "PATH", "9", (11, 0), frozenset(), frozenset())
    metrics = {"vmaf": Metric.of(values), "psnr_y": Metric.of(np.full(frames, math.inf), "dB")}
    score = Score(Path("a"), Path("b"), frames, 64, 48, Fraction(24), "yuv420p", None, {}, ffmpeg, metrics)
    picture = draw_plot(score)
    blue = (picture == (0, 114, 178)).all(axis=2)
    assert blue.any(axis=0).sum() > (1000 if frames > 3 else 0)
