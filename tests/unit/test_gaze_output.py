"""Publishing the gaze branch of an ONNX graph, on a graph that ends as the networks do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

for _module in ("onnx", "onnxruntime"):
    pytest.importorskip(_module, reason=f"needs {_module}, which the extra `train` brings")

import onnxruntime as ort  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from saliency_training.gaze_output import CONTRACT, GAZE, GazeOutputError, publish_gaze  # noqa: E402


def graph(last: str = "Max", factor: float = 0.5, swapped: bool = False) -> Any:
    """``last(mean of x, factor * max of x)`` over the channels, as an ONNX model."""
    scaled = ["half", "gaze"] if swapped else ["gaze", "half"]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["objects"], axes=[1]),
        helper.make_node("ReduceMax", ["input"], ["gaze"], axes=[1]),
        helper.make_node("Constant", [], ["half"], value=helper.make_tensor("v", TensorProto.FLOAT, [], [factor])),
        helper.make_node("Mul", scaled, ["ceiled"]),
        helper.make_node(last, ["ceiled", "objects"] if swapped else ["objects", "ceiled"], ["saliency_map"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", c, "H", "W"]) for n, c in (("input", 3), ("saliency_map", 1))]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, {"gpu_saliency.size_multiple": "16"})
    return model


def outputs_of(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": x}), strict=True))


@pytest.mark.parametrize("swapped", [False, True])
def test_the_gaze_map_is_the_branch_before_its_ceiling(swapped: bool) -> None:
    x = np.random.default_rng(0).random((2, 3, 16, 32), np.float32)
    before = outputs_of(graph(swapped=swapped), x)
    model = graph(swapped=swapped)
    assert publish_gaze(model) == 0.5
    found = outputs_of(model, x)
    assert list(found) == ["saliency_map", GAZE]
    assert np.array_equal(found["saliency_map"], before["saliency_map"])
    assert np.array_equal(found[GAZE], x.max(axis=1, keepdims=True))


def test_metadata_states_the_contract_and_keeps_the_rest() -> None:
    model = graph()
    publish_gaze(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata == {"gpu_saliency.contract": CONTRACT, "gpu_saliency.size_multiple": "16"}


@pytest.mark.parametrize(("last", "factor"), [("Min", 0.5), ("Max", 1.0)])
def test_another_end_is_refused(last: str, factor: float) -> None:
    with pytest.raises(GazeOutputError):
        publish_gaze(graph(last, factor))


def test_a_file_that_publishes_it_already_is_refused() -> None:
    model = graph()
    publish_gaze(model)
    with pytest.raises(GazeOutputError, match="gaze_map"):
        publish_gaze(model)
