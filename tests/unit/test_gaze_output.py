"""Publishing the gaze branch of an ONNX graph, on a graph that ends as the networks do."""

from __future__ import annotations

import numpy as np
import pytest

for _module in ("onnx", "onnxruntime"):
    pytest.importorskip(_module, reason=f"needs {_module}, which the extra `train` brings")

from saliency_graphs import graph, outputs_of  # noqa: E402
from saliency_training.gaze_output import CONTRACT, GAZE, GazeOutputError, publish_gaze, publish_objects  # noqa: E402


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


@pytest.mark.parametrize("swapped", [False, True])
def test_objects_are_the_other_input_of_the_maximum(swapped: bool) -> None:
    x = np.random.default_rng(0).random((2, 3, 16, 32), np.float32)
    model = graph(swapped=swapped)
    publish_gaze(model)
    name = publish_objects(model)
    assert outputs_of(model, x)[name] == pytest.approx(x.mean(axis=1, keepdims=True))


def test_objects_need_the_gaze_map() -> None:
    with pytest.raises(GazeOutputError, match="gaze_map are expected"):
        publish_objects(graph())
