"""The recorder on the host: samples are independent of the batches, and lie on the grid of the coded frame."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gpu_saliency.analysis.activity import activity_map
from gpu_saliency.analysis.recorder import HostRecorder
from gpu_saliency.analysis.track import Samples, encode_activity, encode_gaze, encode_saliency, join_samples
from gpu_saliency.grid import block_mean, grid_shape
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.maps import Maps
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import FrameBatch

COUNT = 6


def clip_of(rotation: int) -> Clip:
    return Clip(Path("clip.mp4"), 333, 180, "yuv420p", Fraction(24), COUNT, rotation=rotation)


def pictures(rotation: int) -> tuple[InputSize, np.ndarray, Maps]:
    """The model's input size, upright pictures of noise and padded maps of noise."""
    content, padded = ((96, 54), (96, 64)) if rotation % 180 == 0 else ((54, 96), (64, 96))
    rng = np.random.default_rng(rotation)
    rgb = rng.integers(0, 256, (COUNT, content[1], content[0], 3), np.uint8)
    return InputSize(content, padded), rgb, Maps(*(rng.random((COUNT, padded[1], padded[0]), np.float32) for _ in range(2)))


def record(rotation: int, batch_sizes: list[int]) -> Samples:
    size, rgb, maps = pictures(rotation)
    recorder, start, parts = HostRecorder(clip_of(rotation), size), 0, []
    for count in batch_sizes:
        chosen = slice(start, start + count)
        assert maps.gaze is not None
        own = Maps(maps.saliency[chosen], maps.gaze[chosen])
        parts.append(recorder.add(FrameBatch(np.arange(COUNT)[chosen] * 3, rgb[chosen]), own))
        start += count
    return join_samples(parts)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("batch_sizes", [[1] * COUNT, [4, 2]])
def test_samples_do_not_depend_on_the_batches(rotation: int, batch_sizes: list[int]) -> None:
    """A live source, which adds picture by picture, records the very bits that a file records."""
    found, expected = record(rotation, batch_sizes), record(rotation, [COUNT])
    for name in ("sample_frame", "saliency", "gaze", "activity", "motion"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_samples_lie_on_the_grid_of_the_coded_frame(rotation: int) -> None:
    """Padding is cut off and the rotation undone before the means of the blocks are taken."""
    size, rgb, maps = pictures(rotation)
    found = record(rotation, [COUNT])
    assert found.saliency.shape == found.activity.shape == (COUNT, *grid_shape(333, 180))
    luma = (rgb @ (np.array([0.2126, 0.7152, 0.0722], np.float32) / 255)).astype(np.float32)
    for i in range(COUNT):
        for codes, map_, encode in ((found.saliency, maps.saliency, encode_saliency), (found.gaze, maps.gaze, encode_gaze)):
            assert codes is not None
            assert map_ is not None
            coded = np.rot90(map_[i, : size.content[1], : size.content[0]], -rotation // 90)
            np.testing.assert_array_equal(codes[i], encode(block_mean(coded, 333, 180)))
        activity = np.rot90(activity_map(luma[i], luma[i - 1] if i else None), -rotation // 90)
        np.testing.assert_array_equal(found.activity[i], encode_activity(block_mean(activity, 333, 180)))
    changes = [0.0, *(float(np.abs(b - a).mean()) for a, b in itertools.pairwise(luma))]
    np.testing.assert_array_equal(found.motion, np.array(changes, np.float32))


def test_without_a_gaze_map() -> None:
    """A model with one output gives samples without gaze."""
    size, rgb, maps = pictures(0)
    recorder = HostRecorder(clip_of(0), size)
    parts = [recorder.add(FrameBatch(np.array([i]), rgb[i : i + 1]), Maps(maps.saliency[i : i + 1])) for i in range(2)]
    assert join_samples(parts).gaze is None
