"""Joins two ONNX models: the objects of one, and the gaze of both, the second at a smaller size of the same input.

Two networks that see the frame at different sizes make different errors in gaze; their geometric mean has fewer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper
from onnx.utils import Extractor

from saliency_training.gaze_output import GAZE, SALIENCY, publish_objects
from saliency_training.network import SIZE_MULTIPLE

_SMALL, _JOIN = "small_", "join_"
"""Prefixes of the names from the small model, and of those that join both."""
_LEAST_PRODUCT = 1e-12
"""Least product of both gaze maps under the root: 1e-6 in the map."""
_LINEAR = {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}


def join_gaze(large: Any, small: Any, scale: float) -> Any:
    """A model with the inputs, outputs and metadata of ``large``, whose gaze is the geometric mean of both models'.

    ``small`` sees the input with both sides times ``scale``, below 1, rounded to multiples of `SIZE_MULTIPLE`; its map is enlarged
    again. Objects stay those of ``large``, and ``saliency_map`` its maximum of objects and gaze. Both must have the outputs
    ``saliency_map`` and ``gaze_map``. Raises `gaze_output.GazeOutputError`.
    """
    publish_objects(_copy(small))  # raises if it does not end as the networks do
    joined, added = _copy(large), _gaze_alone(small)
    objects = publish_objects(joined)
    graph = joined.graph
    source, target = graph.input[0].name, added.graph.input[0].name
    last = next(node for node in graph.node if SALIENCY in node.output)
    scaled = next(node for node in graph.node if GAZE in node.input and node.output[0] in last.input)
    ceiling = next(name for name in scaled.input if name != GAZE)
    own = f"{_JOIN}own_gaze"
    nodes = [node for node in graph.node if node not in (last, scaled)]
    for node in nodes:
        node.output[:] = [own if name == GAZE else name for name in node.output]
    sides = np.full(2, scale / SIZE_MULTIPLE, np.float32)
    constants = _SHRINKING | {"sides": sides, "least": np.asarray(_LEAST_PRODUCT, np.float32)}
    graph.initializer.extend(added.graph.initializer)
    graph.initializer.extend(numpy_helper.from_array(value, _JOIN + name) for name, value in constants.items())
    del graph.node[:]
    graph.node.extend([*nodes, *_shrink(source, target), *added.graph.node, *_mean(own, _SMALL + GAZE, objects, ceiling)])
    del graph.output[:]
    for name in (SALIENCY, GAZE):
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 1, "H", "W"]))
    return joined


def _copy(model: Any) -> Any:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _gaze_alone(model: Any) -> Any:
    """The part of ``model`` that its gaze map needs, with prefixed names."""
    return compose.add_prefix(Extractor(_copy(model)).extract_model([model.graph.input[0].name], [GAZE]), _SMALL)


_SHRINKING = {
    "multiples": np.full(2, SIZE_MULTIPLE, np.int64),
    "ones": np.ones(2, np.int64),
    "zero": np.asarray([0], np.int64),
    "two": np.asarray([2], np.int64),
    "four": np.asarray([4], np.int64),
}
"""Constants of `_shrink`, without the factor ``sides``."""


def _shrink(source: str, target: str) -> list[Any]:
    """Nodes that resize ``source`` ``[N, 3, H, W]`` to sides that are multiples of `SIZE_MULTIPLE`, at least one of them."""

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(kind, [_JOIN + name for name in inputs], [_JOIN + output], **attributes)

    return [
        helper.make_node("Shape", [source], [f"{_JOIN}shape"]),
        node("Slice", ["shape", "zero", "two"], "batch_and_channels"),
        node("Slice", ["shape", "two", "four"], "height_and_width"),
        node("Cast", ["height_and_width"], "pixels", to=onnx.TensorProto.FLOAT),
        node("Mul", ["pixels", "sides"], "in_multiples"),
        node("Round", ["in_multiples"], "rounded"),
        node("Cast", ["rounded"], "whole", to=onnx.TensorProto.INT64),
        node("Max", ["whole", "ones"], "positive"),
        node("Mul", ["positive", "multiples"], "shrunk"),
        node("Concat", ["batch_and_channels", "shrunk"], "shrunk_shape", axis=0),
        helper.make_node("Resize", [source, "", "", f"{_JOIN}shrunk_shape"], [target], **_LINEAR),
    ]


def _mean(own: str, other: str, objects: str, ceiling: str) -> list[Any]:
    """Nodes that enlarge the map ``other`` to the size of ``own``, take their geometric mean, and make both outputs."""
    names = {name: _JOIN + name for name in ("full_shape", "enlarged", "product", "floored", "ceiled")}
    return [
        helper.make_node("Shape", [own], [names["full_shape"]]),
        helper.make_node("Resize", [other, "", "", names["full_shape"]], [names["enlarged"]], **_LINEAR),
        helper.make_node("Mul", [own, names["enlarged"]], [names["product"]]),
        helper.make_node("Max", [names["product"], f"{_JOIN}least"], [names["floored"]]),
        helper.make_node("Sqrt", [names["floored"]], [GAZE]),
        helper.make_node("Mul", [GAZE, ceiling], [names["ceiled"]]),
        helper.make_node("Max", [objects, names["ceiled"]], [SALIENCY]),
    ]
