"""Cases with damaged models: the bytes of the protobuf file, and what its graph says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzzing.case import Case, Name
from fuzzing.layout import Layout
from fuzzing.mutations import MUTATIONS, Intact
from fuzzing.nursery import CONTAINERS, FRAMES, Nursery

_SOURCE = next(one for one in CONTAINERS if one.name == "mkv")


def make(name: Name, nursery: Nursery, folder: Path) -> Case:
    """Every other case damages the bytes, the others take one of `_CHANGES` in turn."""
    random = name.random()
    source, model, output = folder / "in" / "clip.mkv", folder / "in" / "model.onnx", folder / "out" / "o.mkv"
    shutil.copyfile(nursery.clip(_SOURCE), source)
    if name.index % 2:
        what, change = MUTATIONS[(name.index // 2) % len(MUTATIONS)]
        damaged = change(Intact(nursery.model.read_bytes(), Layout(), {"mp4": source.read_bytes()}), random)
        model.write_bytes(damaged.data)
        text = f"{what} {damaged.what}"
    else:
        what, edit = _CHANGES[(name.index // 2) % len(_CHANGES)]
        text = what
        edit(nursery.model, model, random)
    arguments = ["encode", "--src", str(source), "--output", str(output), "--preset", "ultrafast", "--no-equal-size"]
    arguments += ["--prove", "none", "--saliency-model", str(model)]
    allowed = [output.with_name("o.mkv.saliency.npz")]
    return Case(f"model: {text}", arguments, source, output, allowed, FRAMES, memory_mib=4000.0, fresh=name.index % 16 == 0)


def _edited(change: Callable[..., None]) -> Callable[[Path, Path, Random], None]:
    def edit(intact: Path, path: Path, random: Random) -> None:
        import onnx

        model = onnx.load(str(intact), load_external_data=False)
        change(model, random)
        path.write_bytes(model.SerializeToString())

    return edit


def _dimension(model, random) -> None:  # type: ignore[no-untyped-def]
    sides = model.graph.input[0].type.tensor_type.shape.dim
    random.choice(sides).dim_value = random.choice([0, -1, 1, 2**31, 2**40, 2**63 - 1, 4096, 7])


def _fixed_large(model, _random) -> None:  # type: ignore[no-untyped-def]
    for side, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, 1 << 16, 1 << 16), strict=True):
        side.dim_value = value


def _type(model, random) -> None:  # type: ignore[no-untyped-def]
    model.graph.input[0].type.tensor_type.elem_type = random.choice([0, 2, 7, 8, 10, 11, 16, 99])


def _no_node(model, random) -> None:  # type: ignore[no-untyped-def]
    del model.graph.node[random.randrange(len(model.graph.node))]


def _cycle(model, _random) -> None:  # type: ignore[no-untyped-def]
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def _other_operator(model, random) -> None:  # type: ignore[no-untyped-def]
    node = random.choice(model.graph.node)
    node.op_type = random.choice(["Add", "Nope", "Loop", "If", "Scan", "Softmax", "NonZero", "Shape", "SequenceConstruct", ""])


def _names(model, random) -> None:  # type: ignore[no-untyped-def]
    random.choice([*model.graph.input, *model.graph.output]).name = random.choice(["", "\x1b[31m", "é" * 999, "a b", "\n"])


def _versions(model, random) -> None:  # type: ignore[no-untyped-def]
    model.opset_import[0].version = random.choice([0, -1, 1, 999, 2**40])
    model.ir_version = random.choice([0, 1, 9, 999])


def _metadata(model, random) -> None:  # type: ignore[no-untyped-def]
    import onnx

    keys = (
        "gpu_saliency.attention",
        "gpu_saliency.default_width",
        "gpu_saliency.default_height",
        "default_width",
        "default_height",
    )
    texts = ("-4000", "0", "99999999999", "9" * 5000, "NaN", "{}", "[" * 100_000, '{"gaze": [[0, 1e999]]}', "\x1b[2J", "", "null")
    onnx.helper.set_model_props(model, {random.choice(keys): random.choice(texts) for _ in range(3)})


def _weights(model, random) -> None:  # type: ignore[no-untyped-def]
    weight = model.graph.initializer[0]
    action = random.choice(["dims", "short", "type", "external", "nan"])
    if action == "dims":
        weight.dims[0] = random.choice([0, -1, 2**40, 5])
    elif action == "short":
        weight.ClearField("float_data")
    elif action == "type":
        weight.data_type = random.choice([0, 7, 8, 99])
    elif action == "nan":
        weight.float_data[:] = [float("nan")] * len(weight.float_data)
    else:
        weight.ClearField("float_data")
        weight.data_location = 1
        for key, value in {
            "location": random.choice(["/etc/passwd", "../in/clip.mkv", "no"]),
            "offset": "0",
            "length": "12",
        }.items():
            entry = weight.external_data.add()
            entry.key, entry.value = key, value


def _loop(_intact: Path, path: Path, random: Random) -> None:
    """A loop of up to 2^62 turns around an addition."""
    from onnx import TensorProto, helper, save

    trips = random.choice([1 << 62, 1 << 40, 10])
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("x", TensorProto.FLOAT, None)],
        [value("on", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["squashed"]),
        helper.make_node("Loop", ["trips", "", "squashed"], ["saliency_map"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "loop",
        [value("input", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [value("saliency_map", TensorProto.FLOAT, None)],
        [helper.make_tensor("trips", TensorProto.INT64, [], [trips])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def _large_answer(_intact: Path, path: Path, random: Random) -> None:
    """An output that is far larger than the input."""
    from onnx import TensorProto, helper, save

    times = random.choice([1 << 20, 1 << 12, 3])
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["squashed"]),
        helper.make_node("Tile", ["squashed", "repeats"], ["saliency_map"]),
    ]
    repeats = helper.make_tensor("repeats", TensorProto.INT64, [4], [1, 1, times, 1])
    inputs, outputs = [value("input", TensorProto.FLOAT, ["n", 3, "h", "w"])], [value("saliency_map", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "large", inputs, outputs, [repeats])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def _sequence(_intact: Path, path: Path, _random: Random) -> None:
    """A sequence where a map is expected."""
    from onnx import TensorProto, helper, save

    nodes = [helper.make_node("SequenceConstruct", ["input", "input"], ["saliency_map"])]
    answer = helper.make_tensor_sequence_value_info("saliency_map", TensorProto.FLOAT, None)
    pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph(nodes, "sequence", [pixels], [answer])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def _other_file(_intact: Path, path: Path, random: Random) -> None:
    what = random.choice(["folder", "empty", "zeros", "link", "/dev/zero"])
    if what == "folder":
        path.mkdir()
    elif what in ("link", "/dev/zero"):
        path.symlink_to("/dev/zero" if what == "/dev/zero" else "nowhere")
    else:
        path.write_bytes(bytes(100_000 if what == "zeros" else 0))


_CHANGES: tuple[tuple[str, Callable[[Path, Path, Random], None]], ...] = (
    ("a side of the input", _edited(_dimension)),
    ("large fixed sides", _edited(_fixed_large)),
    ("type of the input", _edited(_type)),
    ("a node removed", _edited(_no_node)),
    ("a cycle", _edited(_cycle)),
    ("another operator", _edited(_other_operator)),
    ("a name", _edited(_names)),
    ("versions", _edited(_versions)),
    ("metadata", _edited(_metadata)),
    ("weights", _edited(_weights)),
    ("a long loop", _loop),
    ("a large answer", _large_answer),
    ("a sequence", _sequence),
    ("metadata", _edited(_metadata)),
    ("another file", _other_file),
)
