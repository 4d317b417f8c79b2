"""Settings of the analysis: values are checked when the settings are made, and models are found by path or name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from gpu_saliency import AnalysisSettings
from gpu_saliency.analysis.devices import DEVICES
from gpu_saliency.analysis.settings import DEVICE_NAMES, GpuSettings
from gpu_saliency.errors import UsageError
from gpu_saliency.model.shipped import DEFAULT_MODEL


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"device": "gpu"}, "^device=gpu: unknown .*auto, cpu, cuda"),
        ({"every": 0}, "every"),
        ({"analysis_fps": Fraction(0)}, "analysis.fps"),
        ({"analysis_fps": Fraction(-1)}, "analysis.fps"),
        ({"every": 2, "analysis_fps": Fraction(4)}, "every"),
    ],
)
def test_bad_values_are_refused_at_once(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        AnalysisSettings(**values)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"gpus": ()}, "^gpus=: is not a list of GPUs"),
        ({"gpus": (0, 0)}, "^gpus=0,0: is not a list of GPUs"),
        ({"decoders": "many"}, "^decoders=many: unknown"),
        ({"provider": "cpu"}, "^provider=cpu: unknown"),
        ({"batch_size": -1}, "^batch_size=-1: out of range"),
    ],
)
def test_bad_gpu_values_are_refused_at_once(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        GpuSettings(**values)


@pytest.mark.parametrize("model", ["saliency_fast_v3", str(DEFAULT_MODEL), DEFAULT_MODEL, PurePosixPath(DEFAULT_MODEL)])
def test_a_model_is_a_name_or_a_path(model: Any) -> None:
    assert AnalysisSettings(model=model).model_path == DEFAULT_MODEL
    assert AnalysisSettings(model=model) == AnalysisSettings()


def test_a_path_of_no_shipped_model_stays_as_it_is() -> None:
    assert AnalysisSettings(model="my.onnx").model_path == Path("my.onnx")


def test_every_device_can_be_named() -> None:
    assert tuple(DEVICES) == DEVICE_NAMES
