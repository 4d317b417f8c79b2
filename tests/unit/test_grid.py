"""Blocks, rectangles, samples, activity and input sizes: the arithmetic between a frame and a plan."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_saliency.analysis.activity import activity_map
from gpu_saliency.encode.channels.rectangles import Rectangle, merge_blocks, paint_blocks
from gpu_saliency.errors import UsageError
from gpu_saliency.grid import block_mean, grid_shape, overlap_weights
from gpu_saliency.model.contract import InputSize
from gpu_saliency.source.sampling import Sampling


@pytest.mark.parametrize(
    ("size", "grid"), [((1920, 1080), (68, 120)), ((641, 361), (23, 41)), ((16, 16), (1, 1)), ((1, 17), (2, 1))]
)
def test_partial_blocks_at_the_edges_count(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert grid_shape(*size) == grid


def test_block_mean_of_a_full_resolution_map() -> None:
    """With one map cell per pixel, each block is the mean of its pixels; so is a partial one."""
    picture = np.random.default_rng(1).random((37, 50)).astype(np.float32)
    blocks = block_mean(picture, 50, 37)
    assert blocks.shape == (3, 4)
    assert blocks[1, 2] == pytest.approx(picture[16:32, 32:48].mean(), abs=1e-6)
    assert blocks[2, 3] == pytest.approx(picture[32:, 48:].mean(), abs=1e-6)


def test_block_mean_keeps_the_mean_when_blocks_fit() -> None:
    picture = np.random.default_rng(2).random((9, 16)).astype(np.float32)
    assert block_mean(picture, 1280, 720).mean() == pytest.approx(picture.mean(), abs=1e-6)


def test_overlap_weights_by_hand() -> None:
    """Three cells over 40 pixels are 13.33 px each; the last of three 16 px blocks has 8 pixels, all in the last cell."""
    weights = overlap_weights(3, 40, 16)
    np.testing.assert_allclose(weights, np.array([[5 / 6, 1 / 6, 0], [0, 2 / 3, 1 / 3], [0, 0, 1]]), atol=1e-9)


@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (30, 54), (23, 41)])
def test_rectangles_cover_each_block_once(shape: tuple[int, int], levels: int) -> None:
    rng = np.random.default_rng(levels)
    coarse = rng.integers(-levels, 1, (shape[0] // 3 + 1, shape[1] // 3 + 1))
    grid = np.kron(coarse, np.ones((3, 3), int))[: shape[0], : shape[1]].astype(np.int8)
    painted, touched = np.full(shape, -99), np.zeros(shape, int)
    for r in merge_blocks(grid, background=0):
        painted[r.top : r.bottom, r.left : r.right] = r.value
        touched[r.top : r.bottom, r.left : r.right] += 1
    assert (touched == (grid != 0)).all()
    assert (painted[grid != 0] == grid[grid != 0]).all()


def test_rectangles_are_few() -> None:
    grid = np.zeros((30, 54), np.int8)
    grid[5:20, 10:40] = -3
    assert len(merge_blocks(grid, background=0)) == 1


def painted_by(rectangles: list[Rectangle], rest: int, shape: tuple[int, ...]) -> NDArray[np.integer]:
    """The grid that the rectangles make where the first one wins."""
    grid = np.full(shape, rest)
    for r in reversed(rectangles):
        grid[r.top : r.bottom, r.left : r.right] = r.value
    return grid


def hills(rows: int, cols: int, seed: int) -> NDArray[np.integer]:
    """Offsets from -8 on three hilltops to 4 around them, with noise: like a plan of real maps."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((rows, cols))
    heights = [
        np.exp(-(((y - rng.uniform(0, rows)) / (rows / 6)) ** 2) - ((x - rng.uniform(0, cols)) / (cols / 8)) ** 2) for _ in range(3)
    ]
    offsets: NDArray[np.int8] = np.rint(4 - 12 * np.max(heights, axis=0) + rng.normal(0, 0.2, (rows, cols))).astype(np.int8)
    return offsets


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (13, 22)])
@pytest.mark.parametrize("levels", [1, 2, 25])
@pytest.mark.parametrize("seed", range(4))
def test_painting_is_exact_and_never_takes_more_than_merging(shape: tuple[int, int], levels: int, seed: int) -> None:
    grid = np.random.default_rng(seed).integers(-(levels // 2), levels - levels // 2, shape).astype(np.int8)
    rectangles, rest = paint_blocks(grid)
    assert (painted_by(rectangles, rest, shape) == grid).all()
    values, counts = np.unique(grid, return_counts=True)
    assert len(rectangles) <= len(merge_blocks(grid, int(values[counts.argmax()])))


@pytest.mark.parametrize("sign", [1, -1])
def test_painting_over_hills_takes_far_fewer_rectangles(sign: int) -> None:
    """Whichever way round: a plan of positive offset has its hilltops above the rest."""
    grid = sign * hills(68, 120, seed=5)
    rectangles, rest = paint_blocks(grid)
    assert (painted_by(rectangles, rest, grid.shape) == grid).all()
    assert len(rectangles) < 0.7 * len(merge_blocks(grid, sign * 4))


def test_painting_nested_squares_takes_one_rectangle_each() -> None:
    grid = np.full((20, 20), 4, np.int8)
    for margin in range(1, 9):
        grid[margin:-margin, margin:-margin] = 4 - margin
    rectangles, rest = paint_blocks(grid)
    assert (len(rectangles), rest) == (8, 4)
    assert len(merge_blocks(grid, 4)) > 20


def test_sampling_is_even_and_centred() -> None:
    """24 fps at 4 maps a second: the fourth of every six frames; the mean position is that of the clip."""
    chosen = list(islice(Sampling.choose(Fraction(24), analysis_fps=Fraction(4)).indices(), 40))
    assert chosen[:4] == [3, 9, 15, 21]
    assert np.mean(chosen) == pytest.approx(240 / 2, abs=0.5)


def test_sampling_of_fractional_rates_does_not_drift() -> None:
    rate = Fraction(30000, 1001)
    chosen = list(islice(Sampling.choose(rate, analysis_fps=Fraction(7)).indices(), 700))
    assert chosen[-1] == pytest.approx(699.5 * rate / 7, abs=1)
    assert set(np.diff(chosen)) == {4, 5}


def test_sampling_every_frame() -> None:
    assert list(islice(Sampling.choose(Fraction(24), every=1).indices(), 4)) == [0, 1, 2, 3]
    assert list(islice(Sampling.choose(Fraction(24), analysis_fps=Fraction(60)).indices(), 4)) == [0, 1, 2, 3]


def test_invalid_sampling_is_refused() -> None:
    with pytest.raises(UsageError, match="every=4: contradicts analysis_fps=6"):
        Sampling.choose(Fraction(24), analysis_fps=Fraction(6), every=4)
    with pytest.raises(UsageError, match="every=0: out of range"):
        Sampling.choose(Fraction(24), every=0)
    with pytest.raises(UsageError, match="analysis_fps=0: out of range"):
        Sampling.choose(Fraction(24), analysis_fps=Fraction(0))


def test_activity_follows_texture_and_change() -> None:
    """Left: still and flat. Middle: still texture. Right: texture that changes every frame."""
    rng = np.random.default_rng(5)
    still = rng.random((8, 8))
    pictures = [np.hstack([np.full((8, 8), 0.5), still, rng.random((8, 8))]).astype(np.float32) for _ in range(2)]
    activity = activity_map(pictures[1], pictures[0])
    left, middle, right = activity[:, :7].mean(), activity[:, 8:15].mean(), activity[:, 16:23].mean()
    assert 0 < left < middle < right


def test_activity_of_a_first_frame() -> None:
    """Without a previous frame the gradient replaces the change; a flat picture has the minimum of one code value."""
    np.testing.assert_allclose(activity_map(np.full((4, 4), 0.5, np.float32), None), 1 / 255, atol=1e-6)
    edge = np.array([[0, 1, 1]], np.float32)
    np.testing.assert_allclose(activity_map(edge, None)[0, 0], 1 + 1 / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("aspect", "fixed", "multiple", "content", "padded"),
    [
        (16 / 9, None, 16, (256, 144), (256, 144)),
        (16 / 9, None, 32, (256, 144), (256, 160)),
        (9 / 16, None, 16, (144, 256), (144, 256)),
        (4 / 3, None, 16, (224, 160), (224, 160)),
        (1.0, None, 32, (192, 192), (192, 192)),
        (16 / 9, (256, 256), 32, (256, 144), (256, 256)),
        (0.5, (256, 256), 32, (128, 256), (128 * 2, 256)),
        (12.0, None, 32, (665, 55), (672, 64)),
    ],
)
def test_input_size(
    aspect: float, fixed: tuple[int, int] | None, multiple: int, content: tuple[int, int], padded: tuple[int, int]
) -> None:
    size = InputSize.fit(aspect, fixed, multiple, 256 * 144)
    assert (size.content, size.padded) == (content, padded)
