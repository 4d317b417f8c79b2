"""Pack the large weights of an ONNX model into 16 bits, so that the file has half the size and maps stay the same.

A packed weight is an int16 tensor and a float32 scale for each output channel; the nodes ``Cast`` and ``Mul`` make the float32
weight of them. ONNX Runtime folds both nodes when it makes a session, so inference is that of the unpacked file. float16 is not
used because it changed maps by up to 13/255: of a channel's largest weights it keeps 11 bits, int16 with a scale keeps 15.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MIN_WEIGHTS = 8192
"""Smaller tensors stay float32: they hold 5 % of the weights, and the first depthwise layers among them cause most of the error."""
_TOP = 2**15 - 1
_INT16, _SCALE, _WIDE = "_int16", "_scale", "_float32"


def pack(model: Any) -> int:
    """Replace every float32 weight of at least `MIN_WEIGHTS` values in ``model``; return the number of replaced tensors."""
    graph = model.graph
    nodes = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2 or np.prod(tensor.dims) < MIN_WEIGHTS:
            continue
        name = tensor.name
        codes, scale = quantise(numpy_helper.to_array(tensor))
        graph.initializer.remove(tensor)
        graph.initializer.extend([numpy_helper.from_array(codes, name + _INT16), numpy_helper.from_array(scale, name + _SCALE)])
        nodes.append(helper.make_node("Cast", [name + _INT16], [name + _WIDE], name=name + "_cast", to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [name + _WIDE, name + _SCALE], [name], name=name + "_mul"))
    for node in reversed(nodes):  # a node must follow those that make its inputs
        graph.node.insert(0, node)
    return len(nodes) // 2


def quantise(weight: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Split ``weight`` ``[out, ...]`` into int16 codes of its shape and scales ``[out, 1, ...]``; their product is the weight.

    The largest absolute value of each output channel becomes 32767.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1).reshape(-1, *[1] * (weight.ndim - 1))
    scale = np.where(largest > 0, largest / _TOP, 1).astype(np.float32)
    return np.clip(np.rint(weight / scale), -_TOP, _TOP).astype(np.int16), scale


def weights(graph: Any) -> dict[str, NDArray[Any]]:
    """The constant tensors of ``graph`` by the name under which nodes use them, packed and int8 ones as float32."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if not all(name in tensors for name in node.input):
            continue
        if node.op_type == "Identity":  # the exporter stores equal tensors once
            tensors[node.output[0]] = tensors[node.input[0]]
        elif node.op_type == "Cast" and node.output[0].endswith(_WIDE):
            tensors[node.output[0]] = tensors[node.input[0]].astype(np.float32)
        elif node.op_type == "Mul" and node.input[0].endswith(_WIDE):
            tensors[node.output[0]] = tensors[node.input[0]] * tensors[node.input[1]]
        elif node.op_type == "DequantizeLinear":  # of quantise_onnx.py: codes, a scale for each output channel, zeros
            codes, scale = (tensors[name] for name in node.input[:2])
            tensors[node.output[0]] = codes.astype(np.float32) * scale.reshape(-1, *[1] * (codes.ndim - 1))
    return tensors


def packed_count(model: onnx.ModelProto) -> int:
    """Number of packed tensors in ``model``."""
    return sum(tensor.data_type == TensorProto.INT16 for tensor in model.graph.initializer)
