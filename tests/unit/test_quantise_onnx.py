"""The int8 copy of a shipped model: what is int8, what stays, and that its maps are those of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for _module in ("onnx", "onnxruntime", "PIL"):
    pytest.importorskip(_module, reason="needs onnx, ONNX Runtime and Pillow, which the extra `train` brings")

import onnx  # noqa: E402
import quantise_onnx  # noqa: E402
from saliency_training.packing import weights  # noqa: E402
from saliency_training.sessions import cpu_session  # noqa: E402
from training_sets import small_sets  # noqa: E402

from gpu_saliency.model.onnx import SaliencyModel, normalise  # noqa: E402
from gpu_saliency.model.shipped import DEFAULT_MODEL  # noqa: E402


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    quantise_onnx.quantise_file(DEFAULT_MODEL, folder / "int8.onnx", small_sets(folder / "data"), 4)
    return folder / "int8.onnx"


def test_convolutions_are_int8_and_the_last_ones_float32(int8: Path) -> None:
    graph = onnx.load(str(int8)).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    kept = [node for node in convolutions if stored.get(node.input[1]) == onnx.TensorProto.FLOAT]
    narrow = [made_by[node.input[1]].input[0] for node in convolutions if node not in kept]
    assert {stored[name] for name in narrow} == {onnx.TensorProto.INT8}
    assert len(narrow) > 50
    found = weights(graph)
    assert [found[node.input[1]].shape[0] for node in kept] == [1, 1]  # one head each for objects and gaze
    assert int8.stat().st_size < 0.7 * DEFAULT_MODEL.stat().st_size


def test_the_copy_keeps_contract_and_curve_and_computes_similar_maps(int8: Path) -> None:
    ours, theirs = SaliencyModel(int8), SaliencyModel(DEFAULT_MODEL)
    assert ours.attention == theirs.attention
    rng = np.random.default_rng(0)
    frame = rng.integers(40, 90, (1, 144, 256, 3), np.uint8)
    frame[:, 40:110, 60:150] = 230
    x = normalise(frame, (256, 144))
    assert np.abs(ours(x).saliency - theirs(x).saliency).mean() < 0.04
    # The difference is that of the precision: the copy computes other values.
    first, second = (cpu_session(path).run(["saliency_map"], {"input": x})[0] for path in (int8, DEFAULT_MODEL))
    assert not np.array_equal(first, second)
