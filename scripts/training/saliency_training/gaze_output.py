"""Publish the gaze branch of a saliency network as the second output of its ONNX graph.

The networks end in ``saliency_map = max(objects, gaze_ceiling * gaze)`` (`network.combine`), which hides the gaze map wherever an
object is found. Both maps are computed already, so that a second output costs no inference time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SALIENCY, GAZE = "saliency_map", "gaze_map"
CONTRACT_KEY, CONTRACT = "gpu_saliency.contract", "image-v2"
"""Metadata entry: ``image-v2`` files may have the output ``gaze_map``; readers find outputs by name."""


class GazeOutputError(ValueError):
    """The graph does not end as `network.combine` does."""


def publish_gaze(model: Any) -> float:
    """Add the output ``gaze_map`` ``[N, 1, H, W]``, 0..1, after ``saliency_map``; return the ceiling that ``saliency_map`` applies.

    Nodes and weights stay as they are: the tensor is only renamed. Raises `GazeOutputError`.
    """
    graph = model.graph
    outputs = [value.name for value in graph.output]
    if outputs != [SALIENCY]:
        raise GazeOutputError(f"outputs {outputs}: exactly {SALIENCY} is expected")
    hidden, ceiling = _gaze_tensor(graph)
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == hidden:
                    names[i] = GAZE
    # A name for the channels would be a dynamic dimension; the map has one channel.
    graph.output.append(helper.make_tensor_value_info(GAZE, TensorProto.FLOAT, ["N", 1, "H", "W"]))
    metadata = {entry.key: entry.value for entry in model.metadata_props} | {CONTRACT_KEY: CONTRACT}
    helper.set_model_props(model, metadata)
    return ceiling


def _gaze_tensor(graph: Any) -> tuple[str, float]:
    """The tensor that the final ``Max`` takes multiplied by a constant below 1 (the gaze map), and that constant."""
    made_by = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    last = made_by.get(SALIENCY)
    if last is None or last.op_type != "Max" or len(last.input) != 2:
        raise GazeOutputError(f"{SALIENCY} is not the larger of two maps")
    found = []
    for name in last.input:
        scaled = made_by.get(name)
        if scaled is None or scaled.op_type != "Mul":
            continue
        for value, factor in (scaled.input, reversed(scaled.input)):
            if factor in constants and np.size(constants[factor]) == 1 and 0 < float(constants[factor]) < 1:
                found.append((str(value), float(constants[factor])))
    if len(found) != 1:
        raise GazeOutputError(f"{len(found)} inputs of the last Max are a map times a constant below 1; exactly one is expected")
    return found[0]


def publish_objects(model: Any) -> str:
    """Add the objects that the final ``Max`` takes, ``[N, 1, H, W]`` in 0..1, as an output; return its name.

    The file must have the output ``gaze_map``. Raises `GazeOutputError`.
    """
    graph = model.graph
    if [value.name for value in graph.output] != [SALIENCY, GAZE]:
        raise GazeOutputError(f"outputs {[value.name for value in graph.output]}: {SALIENCY} and {GAZE} are expected")
    made_by = {name: node for node in graph.node for name in node.output}
    last = made_by[SALIENCY]
    objects = [str(name) for name in last.input if GAZE not in made_by[name].input]
    if last.op_type != "Max" or len(objects) != 1:
        raise GazeOutputError(f"{SALIENCY} is not the larger of objects and of a share of {GAZE}")
    graph.output.append(helper.make_tensor_value_info(objects[0], TensorProto.FLOAT, ["N", 1, "H", "W"]))
    return objects[0]
