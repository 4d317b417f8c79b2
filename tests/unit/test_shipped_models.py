"""The model files that ship with the package: names, contract, and maps equal to those of the float32 weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")

from gpu_saliency.errors import ModelError
from gpu_saliency.model import onnx as models
from gpu_saliency.model.shipped import DEFAULT_MODEL, SHIPPED_MODELS, WITHDRAWN_MODELS, find_model

_FOLDER = DEFAULT_MODEL.parent
_FLOAT32 = {
    "saliency_fast_v3": (0.0316, 0.0357, 0.0919, 0.9976, 0.9981, 0.9995, 0.0522, 0.0438, 0.0288),
    "saliency_best_v3": (0.0049, 0.0060, 0.0263, 0.9979, 0.9988, 0.9997, 0.0099, 0.0073, 0.0060),
}
"""Maps of the disc along line 72 at the columns `_COLUMNS`, computed with the float32 weights before they were packed."""
_COLUMNS = (40, 52, 64, 76, 112, 148, 160, 172, 196)
_ONE_STEP = 1 / 255
"""Packing the weights may change a map by one step of an 8-bit map."""


def _disc() -> NDArray[np.float32]:
    """A bright red disc, 90 pixels across, on dark green noise; a little left of the centre. ``[1, 3, 144, 256]``."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(20, 60, (1, 144, 256, 3), np.uint8)
    rgb[..., 1] += 40
    y, x = np.mgrid[:144, :256]
    rgb[0, (y - 72) ** 2 + (x - 110) ** 2 < 45**2] = (230, 40, 30)
    return models.normalise(rgb, (256, 144))


def test_each_shipped_model_has_a_card() -> None:
    assert {path.stem for path in _FOLDER.glob("*.onnx")} == set(SHIPPED_MODELS) == {path.stem for path in _FOLDER.glob("*.md")}


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_a_shipped_model_finds_a_disc(name: str) -> None:
    model = models.SaliencyModel(find_model(name))
    assert model.input_size(16 / 9).padded == ((416, 240) if "best" in name else (256, 144))
    maps = model(_disc())
    found = maps.saliency[0]
    assert found[52:92, 90:130].mean() > 0.6
    assert found[:, 200:].mean() < 0.2
    np.testing.assert_allclose(found[72, _COLUMNS], _FLOAT32[name], atol=_ONE_STEP)
    assert maps.gaze is not None
    # The network takes the larger of the objects and a quarter of the gaze.
    assert (found >= maps.gaze[0] / 4 - 1e-6).all()
    assert maps.gaze[0, 52:92, 90:130].max() > 2 * maps.gaze[0].mean()


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_a_shipped_model_brings_its_attention_curve(name: str) -> None:
    """Viewers look more at the highest values than at the lowest, by a factor of hundreds by gaze and of tens by saliency."""
    curve = models.SaliencyModel(find_model(name)).attention
    assert curve is not None
    assert curve.gaze[-1][1] > 100 * curve.gaze[0][1]
    assert curve.saliency[-1][1] > 10 * curve.saliency[0][1]


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_sessions_compute_in_float32(name: str, tmp_path: Path) -> None:
    """The model that ONNX Runtime runs holds float32 weights and no node that widens 16-bit ones."""
    onnx = pytest.importorskip("onnx", reason="needs onnx, which the extra `dev` brings")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(find_model(name)), options, providers=["CPUExecutionProvider"])
    shipped, run = (onnx.load(str(path)) for path in (find_model(name), tmp_path / "optimised.onnx"))
    narrow = {onnx.TensorProto.INT16, onnx.TensorProto.FLOAT16}
    counts = [sum(tensor.data_type in narrow for tensor in model.graph.initializer) for model in (shipped, run)]
    assert counts[0] > 30
    assert counts[1] == 0
    constants = {tensor.name for tensor in run.graph.initializer}
    assert not [node.name for node in run.graph.node if node.input and constants.issuperset(node.input)]


@pytest.mark.parametrize("name", sorted(WITHDRAWN_MODELS))
def test_a_model_that_is_no_longer_shipped_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the shipped models; a file of that name is still accepted."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        find_model(name)
    assert str(caught.value) == (f"{name}: is no longer shipped (use saliency_fast_v3 or saliency_best_v3, or give an ONNX file)")
    (tmp_path / name).touch()
    assert find_model(name) == Path(name)
