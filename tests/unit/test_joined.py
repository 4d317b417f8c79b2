"""Joining two ONNX models: one that sees all pixels, one that sees a smaller frame, on graphs that end as the networks do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

for _module in ("onnx", "onnxruntime", "torch"):
    pytest.importorskip(_module, reason=f"needs {_module}, which the extra `train` brings")

import join_models  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from saliency_graphs import graph, outputs_of  # noqa: E402
from saliency_training.gaze_output import GazeOutputError, publish_gaze  # noqa: E402
from saliency_training.joined import join_gaze  # noqa: E402


def published(factor: float = 0.5) -> Any:
    model = graph(factor=factor)
    publish_gaze(model)
    return model


def bounded() -> Any:
    """`published`, of the input's sigmoid, with objects above gaze: maps in 0..1 whatever the input is."""
    model = graph()
    model.graph.node[0].op_type, model.graph.node[1].op_type = "ReduceMax", "ReduceMean"
    for node in model.graph.node[:2]:
        node.input[0] = "bounded"
    model.graph.node.insert(0, helper.make_node("Sigmoid", ["input"], ["bounded"]))
    publish_gaze(model)
    return model


def frames(height: int, width: int) -> np.ndarray:
    """``[2, 3, height, width]`` in 0..1, flat in blocks of 16x16: a smaller copy is exact in their middles."""
    rng = np.random.default_rng(0)
    blocks = rng.random((2, 3, height // 16, width // 16), np.float32)
    return np.kron(blocks, np.ones((16, 16), np.float32))


def test_gaze_is_the_geometric_mean_and_objects_stay() -> None:
    x = frames(64, 96)
    alone = outputs_of(published(), x)
    both = outputs_of(join_gaze(published(), published(), 0.5), x)
    assert list(both) == list(alone)
    middle = (..., slice(8, None, 16), slice(8, None, 16))  # far from the edges of flat parts: both models see the same
    assert both["gaze_map"][middle] == pytest.approx(alone["gaze_map"][middle], abs=1e-5)
    objects = x.mean(axis=1, keepdims=True)
    assert both["saliency_map"] == pytest.approx(np.maximum(objects, 0.5 * both["gaze_map"]), abs=1e-6)


def test_two_maps_that_differ_meet_in_between() -> None:
    """The small model's gaze is a quarter of the large one's: their geometric mean is half of it."""
    x = frames(64, 96)
    small = graph()
    small.graph.node[1].output[0] = "all"
    quarter = helper.make_node("Constant", [], ["quarter"], value=helper.make_tensor("q", TensorProto.FLOAT, [], [0.25]))
    small.graph.node.insert(2, quarter)
    small.graph.node.insert(3, helper.make_node("Mul", ["all", "quarter"], ["gaze"]))
    publish_gaze(small)
    both, alone = outputs_of(join_gaze(published(), small, 0.5), x), outputs_of(published(), x)
    middle = (..., slice(8, None, 16), slice(8, None, 16))
    assert both["gaze_map"][middle] == pytest.approx(alone["gaze_map"][middle] / 2, abs=1e-5)


@pytest.mark.parametrize(("height", "width", "small"), [(240, 416, (144, 256)), (144, 256, (96, 160)), (16, 16, (16, 16))])
def test_the_small_model_sees_multiples_of_16(height: int, width: int, small: tuple[int, int]) -> None:
    model = join_gaze(published(), published(), 256 / 416)
    model.graph.output.append(helper.make_tensor_value_info("small_input", TensorProto.FLOAT, ["N", 3, "h", "w"]))
    found = outputs_of(model, frames(height, width))
    assert found["small_input"].shape == (2, 3, *small)
    assert found["gaze_map"].shape == (2, 1, height, width)


def test_a_graph_that_ends_otherwise_is_refused() -> None:
    with pytest.raises(GazeOutputError, match="expected"):
        join_gaze(published(), graph(), 0.5)


def test_files_are_joined_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("large", "small"):
        onnx.save(bounded(), str(tmp_path / f"{name}.onnx"))
    options = [*(str(tmp_path / f"{name}.onnx") for name in ("large", "small", "joined")), "--scale"]
    monkeypatch.setattr("sys.argv", ["join_models.py", *options, "0.5"])
    join_models.main()
    model = onnx.load(str(tmp_path / "joined.onnx"))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["gpu_saliency.version"] == "joined"
    assert metadata["gpu_saliency.contract"] == "image-v2"
    monkeypatch.setattr("sys.argv", ["join_models.py", *options, "1.5"])
    with pytest.raises(SystemExit):
        join_models.main()


def test_a_file_with_other_objects_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("large", "small"):
        onnx.save(bounded(), str(tmp_path / f"{name}.onnx"))

    def broken(large: Any, small: Any, scale: float) -> Any:
        model = join_gaze(large, small, scale)
        next(node for node in model.graph.node if "saliency_map" in node.output).op_type = "Min"
        return model

    monkeypatch.setattr(join_models, "join_gaze", broken)
    with pytest.raises(join_models.JoinError, match="objects differ"):
        join_models.join_files(tmp_path / "large.onnx", tmp_path / "small.onnx", tmp_path / "joined.onnx", 0.5)
    assert not (tmp_path / "joined.onnx").exists()
