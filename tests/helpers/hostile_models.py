"""ONNX models that a stranger could send, as data for the tests: each must end with one line and exit code 65."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[Any], None]
Make = Callable[[Path], Path]


def simple(**parts: Any) -> Any:
    """A model that keeps the contract: the sigmoid of the mean of R'G'B'. ``parts`` replace nodes, inputs, outputs or opset."""
    from onnx import TensorProto, helper

    pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "h", "w"])
    answer = helper.make_tensor_value_info("saliency_map", TensorProto.FLOAT, ["n", 1, "h", "w"])
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["sigmoid"]),
        *parts.get("nodes", [helper.make_node("Identity", ["sigmoid"], ["saliency_map"])]),
    ]
    graph = helper.make_graph(nodes, "g", parts.get("inputs", [pixels]), parts.get("outputs", [answer]), parts.get("constants", []))
    opsets = [helper.make_opsetid("", parts.get("opset", 13)), *parts.get("further_opsets", [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=parts.get("ir", 8))


def _saved(make: Callable[[], Any]) -> Make:
    def save(folder: Path) -> Path:
        path = folder / "model.onnx"
        path.write_bytes(make().SerializeToString())
        return path

    return save


def _loop(count: int, *, grows: bool = False) -> Make:
    """The map goes ``count`` times through a loop; with ``grows`` each turn adds a map to what the loop returns."""

    def make() -> Any:
        from onnx import TensorProto, helper

        values: list[tuple[str, int, Any]] = [
            ("turn", TensorProto.INT64, []),
            ("go_on", TensorProto.BOOL, []),
            ("map", TensorProto.FLOAT, None),
        ]
        after: list[tuple[str, int, Any]] = [("still", TensorProto.BOOL, []), ("next", TensorProto.FLOAT, None)]
        nodes = [helper.make_node("Identity", ["go_on"], ["still"]), helper.make_node("Add", ["map", "zero"], ["next"])]
        if grows:
            after.append(("all", TensorProto.FLOAT, None))
            nodes.append(helper.make_node("Identity", ["next"], ["all"]))
        body = helper.make_graph(
            nodes,
            "body",
            [helper.make_tensor_value_info(*one) for one in values],
            [helper.make_tensor_value_info(*one) for one in after],
            [helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])],
        )
        returned = ["saliency_map", "history"] if grows else ["saliency_map"]
        loop = helper.make_node("Loop", ["count", "yes", "sigmoid"], returned, body=body)
        constants = [
            helper.make_tensor("count", TensorProto.INT64, [], [count]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        ]
        return simple(nodes=[loop], constants=constants)

    return _saved(make)


def _huge_tensor(*shape: int) -> Make:
    """A constant tensor of ``shape`` is made at run time, and its mean, 0, added to the map."""

    def make() -> Any:
        from onnx import TensorProto, helper

        nodes = [
            # The shape depends on the input, so that it is not evaluated when the model is loaded.
            helper.make_node("ReduceMean", ["input"], ["one"], axes=[0, 1, 2, 3], keepdims=0),
            helper.make_node("Cast", ["one"], ["zero"], to=TensorProto.INT64),
            helper.make_node("Add", ["shape", "zero"], ["sides"]),
            helper.make_node("ConstantOfShape", ["sides"], ["huge"]),
            helper.make_node("ReduceMean", ["huge"], ["nothing"], keepdims=0),
            helper.make_node("Add", ["sigmoid", "nothing"], ["saliency_map"]),
        ]
        return simple(nodes=nodes, constants=[helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape)])

    return _saved(make)


def greedy(*, for_bright: bool, cube: int = 0) -> Any:
    """A model that makes a tensor of a size that the trial on one sample of zeros does not show.

    ``for_bright``: 4 GiB where a pixel is bright; else ``cube`` floats times the third power of the number of samples.
    """
    from onnx import TensorProto, helper

    def whole(name: str, value: int) -> Any:
        return helper.make_tensor(name, TensorProto.INT64, [1], [value])

    if for_bright:
        size = [
            helper.make_node("ReduceMax", ["input"], ["brightest"], axes=[0, 1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["brightest", "much"], ["floats"]),
            helper.make_node("Cast", ["floats"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Unsqueeze", ["whole", "first"], ["sizes"]),
            helper.make_node("Max", ["sizes", "one"], ["size"]),
        ]
    else:
        size = [
            helper.make_node("Shape", ["input"], ["shape"]),
            helper.make_node("Gather", ["shape", "first"], ["samples"]),
            helper.make_node("Mul", ["samples", "samples"], ["square"]),
            helper.make_node("Mul", ["square", "samples"], ["cube"]),
            helper.make_node("Mul", ["cube", "factor"], ["size"]),
        ]
    nodes = [
        *size,
        helper.make_node("ConstantOfShape", ["size"], ["huge"]),
        helper.make_node("ReduceMean", ["huge"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["sigmoid", "nothing"], ["saliency_map"]),
    ]
    much = helper.make_tensor("much", TensorProto.FLOAT, [], [float(1 << 30)])
    return simple(nodes=nodes, constants=[much, whole("first", 0), whole("one", 1), whole("factor", cube)])


def _typed(kind: str) -> Make:
    """The output is a sequence or an optional value instead of a tensor."""

    def make() -> Any:
        from onnx import TensorProto, helper

        inner = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        if kind == "sequence":
            node, form = (
                helper.make_node("SequenceConstruct", ["sigmoid"], ["saliency_map"]),
                helper.make_sequence_type_proto(inner),
            )
        else:
            node, form = helper.make_node("Optional", ["sigmoid"], ["saliency_map"]), helper.make_optional_type_proto(inner)
        return simple(nodes=[node], outputs=[helper.make_value_info("saliency_map", form)], opset=15)

    return _saved(make)


def _input(shape: list[Any], kind: str = "FLOAT") -> Make:
    def make() -> Any:
        from onnx import TensorProto, helper

        return simple(inputs=[helper.make_tensor_value_info("input", getattr(TensorProto, kind), shape)])

    return _saved(make)


def _inputs(count: int) -> Make:
    """``count`` inputs; the further ones are added to the map."""

    def make() -> Any:
        from onnx import TensorProto, helper

        names = ["input", *(f"further{i}" for i in range(1, count))]
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in names]
        return simple(inputs=inputs)

    return _saved(make)


def _metadata(**entries: str) -> Make:
    def make() -> Any:
        from onnx import helper

        model = simple()
        helper.set_model_props(model, {f"gpu_saliency.{key}": value for key, value in entries.items()})
        return model

    return _saved(make)


def _external(location: str, *, nested: bool = False) -> Make:
    """A tensor whose values lie in another file, ``location``, which is there where it is relative."""

    def make() -> Any:
        from onnx import StringStringEntryProto, TensorProto, helper

        tensor = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.append(StringStringEntryProto(key="location", value=location))
        node = helper.make_node("Add", ["sigmoid", "weight"], ["saliency_map"])
        if nested:
            inner = helper.make_graph(
                [helper.make_node("Add", ["sigmoid", "weight"], ["inner"])],
                "inner",
                [],
                [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
                [tensor],
            )
            yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
            node = helper.make_node("If", ["yes"], ["saliency_map"], then_branch=inner, else_branch=inner)
            return simple(nodes=[node], constants=[yes])
        return simple(nodes=[node], constants=[tensor])

    return _saved(make)


def _custom_op() -> Any:
    from onnx import helper

    node = helper.make_node("Evil", ["sigmoid"], ["saliency_map"], domain="com.example")
    return simple(nodes=[node], further_opsets=[helper.make_opsetid("com.example", 1)])


def _not_a_number() -> Any:
    from onnx import helper

    return simple(nodes=[helper.make_node("Neg", ["sigmoid"], ["below"]), helper.make_node("Log", ["below"], ["saliency_map"])])


def _deep(levels: int) -> Make:
    """An ``If`` inside an ``If``, ``levels`` times."""

    def make() -> Any:
        from onnx import TensorProto, helper

        answer = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
        graph = helper.make_graph([helper.make_node("Identity", ["sigmoid"], ["out"])], "g", [], [answer])
        for _ in range(levels):
            graph = helper.make_graph(
                [helper.make_node("If", ["yes"], ["out"], then_branch=graph, else_branch=graph)], "g", [], [answer]
            )
            graph.node[0].attribute[1].g.Clear()
        model = simple(constants=[helper.make_tensor("yes", TensorProto.BOOL, [], [True])])
        model.graph.node.append(helper.make_node("If", ["yes"], ["x"], then_branch=graph, else_branch=graph))
        return model

    return _saved(make)


def _truncated(part: float) -> Make:
    def make(folder: Path) -> Path:
        data = simple().SerializeToString()
        (folder / "model.onnx").write_bytes(data[: int(len(data) * part)])
        return folder / "model.onnx"

    return make


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


def _sparse(folder: Path) -> Path:
    """A file of 64 GiB without data."""
    with (folder / "model.onnx").open("wb") as file:
        file.truncate(1 << 36)
    return folder / "model.onnx"


def _folder(folder: Path) -> Path:
    (folder / "model.onnx").mkdir()
    return folder / "model.onnx"


def _undecodable_operator(folder: Path) -> Path:
    """The name of an operator is no UTF-8: ONNX Runtime writes to standard output, and its error cannot be read."""
    path = _saved(simple)(folder)
    data = path.read_bytes()
    assert b"\x22\x07Sigmoid" in data
    path.write_bytes(data.replace(b"\x22\x07Sigmoid", b"\x22\x07\xd3igmoid"))
    return path


HOSTILE_MODELS: dict[str, tuple[Make, str]] = {
    "an operator's name that is no text": (_undecodable_operator, "is not a usable ONNX model"),
    "/dev/zero": (lambda _: Path("/dev/zero"), "is not a regular file"),
    "a pipe": (_fifo, "is not a regular file"),
    "a folder": (_folder, "Is a directory|is not a regular file"),
    "64 GiB": (_sparse, "at most 1,073,741,824 are allowed"),
    "empty": (_truncated(0), "is not a usable ONNX model|breaks the model contract"),
    "half": (_truncated(0.5), "truncated, or not a protobuf message"),
    "without its last bytes": (_truncated(0.97), "truncated, or not a protobuf message"),
    "a tensor of 2^40 floats": (_huge_tensor(1 << 40), "failed on input"),
    "a tensor of 8 GiB": (_huge_tensor(1 << 16, 1 << 15), "failed on input"),
    "a sequence": (_typed("sequence"), r"an output saliency_map of seq\(tensor\(float\)\)"),
    "an optional": (_typed("optional"), r"an output saliency_map of optional\(tensor\(float\)\)"),
    "sides of 2^40": (_input(["n", 3, 1 << 40, 1 << 40]), "sides are 1 to 4096"),
    "one side of 2^30": (_input(["n", 3, 32, 1 << 30]), "sides are 1 to 4096"),
    "a batch of 2^30": (_input([1 << 30, 3, "h", "w"]), "a batch fixed at"),
    "one fixed side": (_input(["n", 3, 32, "w"]), "one fixed side"),
    "two dimensions": (_input(["n", 3]), "model"),
    "double": (_input(["n", 3, "h", "w"], "DOUBLE"), "model"),
    "bytes": (_input(["n", 3, "h", "w"], "UINT8"), "model"),
    "two inputs": (_inputs(2), "2 inputs and 1 outputs"),
    "no input": (lambda folder: _saved(lambda: simple(inputs=[]))(folder), "model"),
    **{
        f"metadata {key} {value[:12]}": (_metadata(**{key: value}), f"metadata gpu_saliency.{key}")
        for key, values in {
            "default_width": ("-4000", "x", "1e9", "1000000000", "0", "", "4.5", "\u0664", "1" * 5000, "5000"),
            "default_height": ("-1", "nan"),
            "size_multiple": ("0", "-32", "513", " 32", "1_6"),
            "attention": ("{", "[" * 9000, "NaN", "null"),
        }.items()
        for value in values
    },
    "both sides negative": (_metadata(default_width="-4000", default_height="-4000"), "metadata gpu_saliency.default_width"),
    "data in ../": (_external("../weights.bin"), "keeps data in other files"),
    "data in /etc": (_external("/etc/hostname"), "keeps data in other files"),
    "data beside": (_external("weights.bin"), "keeps data in other files"),
    "data of a nested graph": (_external("weights.bin", nested=True), "keeps data in other files"),
    "a custom operator": (_saved(_custom_op), "is not a usable ONNX model"),
    "a new opset": (_saved(lambda: simple(opset=999)), "is not a usable ONNX model"),
    "a new format": (_saved(lambda: simple(ir=999)), "is not a usable ONNX model"),
    "NaN": (_saved(_not_a_number), "not in 0 .. 1"),
    "15 nested graphs": (_deep(15), "nested more than 32 levels"),
}
ENDLESS_MODELS: dict[str, Make] = {
    "a loop of 2^62": _loop(1 << 62),
    "a loop of 2^31": _loop(1 << 31),
    "a loop that grows": _loop(1 << 62, grows=True),
}
