"""Small ONNX graphs that end as the saliency networks do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper


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
