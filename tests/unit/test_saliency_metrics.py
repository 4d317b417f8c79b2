"""The metrics of evaluate_saliency.py: values computed by hand, and flicker on frames with known motion."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

for _module in ("onnx", "onnxruntime", "scipy", "PIL"):
    pytest.importorskip(_module, reason=f"needs {_module}, which the extra `train` brings")


from saliency_training import devset, flicker, metrics  # noqa: E402

_HEIGHT, _WIDTH = 64, 96


def test_object_metrics_by_hand() -> None:
    """Four pixels; at 0.5 two are chosen, two are object, one is both: P = R = F = 1/2, IoU = 1/3."""
    predicted = np.array([[1.0, 0.6], [0.2, 0.0]])
    mask = np.array([[True, False], [True, False]])
    assert metrics.mae(predicted, mask) == pytest.approx((0 + 0.6 + 0.8 + 0) / 4)
    assert metrics.iou(predicted, mask) == pytest.approx(1 / 3)
    precision, recall = metrics.precision_recall(predicted, mask)
    assert (precision[127], recall[127]) == (0.5, 0.5)
    # Above 0.6 only the first pixel is chosen: P = 1, R = 1/2, F = 1.3 * 0.5 / (0.3 + 0.5).
    assert metrics.f_beta(precision, recall).max() == pytest.approx(0.8125)
    # At 0.2 = 51 / 255 three are chosen, among them both object pixels.
    assert (precision[50], recall[50]) == (pytest.approx(2 / 3), 1.0)
    assert metrics.iou(np.zeros((2, 2)), np.zeros((2, 2), bool)) == 1.0


def test_gaze_metrics_by_hand() -> None:
    predicted, density = np.array([[1.0, 0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0, 0.0]])
    # Deviations (1, -1, -1, 1) / 2 and (3, -1, -1, -1) / 4: covariance 1/2 over 1 * sqrt(12) / 4.
    assert metrics.cc(predicted, density) == pytest.approx(1 / np.sqrt(3))
    assert metrics.kl(predicted, density) == pytest.approx(np.log(2), abs=1e-6)
    assert metrics.sim(predicted, density) == pytest.approx(0.5)
    # Mean 1/2, deviation 1/2: 1 at the first pixel, -1 at the second; points are 1-based.
    assert metrics.nss(predicted, np.array([[1.0, 1.0]])) == pytest.approx(1.0)
    assert metrics.nss(predicted, np.array([[1.0, 1.0], [2.0, 1.0]])) == pytest.approx(0.0)
    assert metrics.cc(np.ones((1, 4)), density) == 0.0


def test_block_metrics_by_hand() -> None:
    """32 x 40 pixels are 2 x 3 blocks, the right ones 8 pixels wide; three are object, one of them by exactly half."""
    mask, predicted = np.zeros((32, 40), bool), np.zeros((32, 40))
    mask[:16, :16] = True
    mask[:8, 16:32] = True
    mask[:16, 32:] = True
    mask[16:23, :16] = True  # 7 rows of 16: not half
    predicted[:16, :16] = 0.5
    predicted[16:, :16] = 0.9
    assert metrics.block_iou(predicted, mask) == pytest.approx(1 / 4)
    predicted[:16, 32:] = 1.0
    assert metrics.block_iou(predicted, mask) == pytest.approx(2 / 4)
    assert metrics.block_iou(np.zeros((32, 40)), np.zeros((32, 40), bool)) == 1.0


def test_calibration_by_hand() -> None:
    """One map is a quarter too high, one a quarter too low: the mean is right, each image is off by a quarter."""
    half, mask = np.array([[0.5, 0.5]]), np.array([[True, False]])
    assert metrics.excess(half, mask) == 0
    scores = metrics.mean_object_scores([(half + 0.25, mask), (half - 0.25, mask)])
    assert scores["mean_map"] == scores["object_share"] == 0.5
    assert scores["excess_abs"] == pytest.approx(0.25)


def _texture(seed: int = 0) -> NDArray[np.float32]:
    """Random luma, which matches itself only in place; larger than a frame, so that a window can move over it."""
    return np.random.default_rng(seed).uniform(0, 255, (_HEIGHT + 32, _WIDTH + 32)).astype(np.float32)


def _window(values: NDArray[np.float32], y: int, x: int) -> NDArray[np.float32]:
    return values[16 + y : 16 + y + _HEIGHT, 16 + x : 16 + x + _WIDTH]


def test_flicker_of_a_still_frame_is_the_change_of_its_map() -> None:
    frame, low = _window(_texture(), 0, 0), np.full((_HEIGHT, _WIDTH), 0.2, np.float32)
    motion = flicker.match(frame, frame)
    found = flicker.change(motion, low, low + np.float32(0.15))
    assert found.flicker == pytest.approx(0.15)
    assert found.followed == 1
    assert flicker.change(motion, low, low).flicker == 0


def test_a_map_that_moves_with_the_frame_does_not_flicker() -> None:
    """Frame and map shift by (3, -2) pixels: along the motion nothing changes, at fixed positions much does."""
    picture, saliency = _texture(), _texture(1) / np.float32(255)
    before, after = ((_window(picture, *at), _window(saliency, *at)) for at in ((0, 0), (3, -2)))
    motion = flicker.match(before[0], after[0])
    assert set(motion.dy[motion.followed]) == {3}
    assert set(motion.dx[motion.followed]) == {-2}
    found = flicker.change(motion, before[1], after[1])
    assert found.flicker == pytest.approx(0, abs=1e-6)
    # One row and one column of blocks enter from outside the frame.
    assert 0.7 < found.followed < 1
    # A map that lags one frame behind flickers.
    late = flicker.change(motion, before[1], before[1])
    assert late.flicker > 0.2


def test_flicker_ignores_blocks_across_a_cut() -> None:
    first, second = _window(_texture(0), 0, 0), _window(_texture(1), 0, 0)
    flat = np.zeros((_HEIGHT, _WIDTH), np.float32)
    assert flicker.change(flicker.match(first, second), flat, flat + 1) == flicker.Change(0.0, 0.0)


def test_the_input_size_follows_the_aspect_of_the_frame() -> None:
    """36,864 pixels in 16:9, 4:3, 3:2 and 9:16."""
    found = [devset.fit(1920, 1080), devset.fit(400, 300), devset.fit(300, 200), devset.fit(1080, 1920)]
    assert found == [(256, 144), (224, 160), (240, 160), (144, 256)]
