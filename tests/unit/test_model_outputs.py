"""Models with one output and with two: outputs are found by name, in any order and in batches of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bad_input import save_model
from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
pytest.importorskip("onnx", reason="needs onnx, which the extra `dev` brings")

from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.onnx import SaliencyModel

CURVE = AttentionCurve(((0.01, 0.1), (1.0, 10.0)), ((0.01, 0.4), (0.16, 1.6)), object=6.0, floor=0.2, beta=0.5)


def pictures() -> NDArray[np.float32]:
    return np.random.default_rng(2).standard_normal((3, 3, 32, 64)).astype(np.float32)


@pytest.mark.parametrize("outputs", [("saliency_map", "gaze_map"), ("gaze_map", "saliency_map"), ("gaze_map", "squashed")])
def test_two_outputs(tmp_path: Path, outputs: tuple[str, ...]) -> None:
    """In the test's model gaze is a quarter of saliency; the output beside ``gaze_map`` is the saliency, whatever its name."""
    model = SaliencyModel(save_model(tmp_path / "model.onnx", outputs=outputs, gaze=0.25))
    maps = model(pictures())
    assert maps.gaze is not None
    assert maps.saliency.shape == maps.gaze.shape == (3, 32, 64)
    np.testing.assert_allclose(maps.gaze, maps.saliency / 4, rtol=1e-6)
    assert maps.saliency.std() > 0


@pytest.mark.parametrize("name", ["saliency_map", "squashed", "gaze_map"])
def test_one_output(tmp_path: Path, name: str) -> None:
    """It is the saliency, whatever its name; there is neither gaze nor a curve."""
    model = SaliencyModel(save_model(tmp_path / "model.onnx", outputs=(name,), gaze=1.0))
    maps = model(pictures())
    assert (maps.saliency.shape, maps.gaze, model.attention) == ((3, 32, 64), None, None)


def test_a_batch_fixed_at_1(tmp_path: Path) -> None:
    """The pictures go through the model one by one, and both maps of all of them come back."""
    onnx = pytest.importorskip("onnx")
    path = save_model(tmp_path / "model.onnx", outputs=("saliency_map", "gaze_map"))
    expected = SaliencyModel(path)(pictures())
    proto = onnx.load(str(path))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, str(path))
    model = SaliencyModel(path)
    assert model.batch_size == 1
    found = model(pictures())
    np.testing.assert_array_equal(found.saliency, expected.saliency)
    assert found.gaze is not None
    assert expected.gaze is not None
    np.testing.assert_array_equal(found.gaze, expected.gaze)


def test_the_curve_in_the_metadata(tmp_path: Path) -> None:
    assert SaliencyModel(save_model(tmp_path / "model.onnx", attention=json.dumps(CURVE.to_json()))).attention == CURVE
