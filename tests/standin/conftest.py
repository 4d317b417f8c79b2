"""Fixtures of the tests on the stand-in driver (docs/standin.md). Without it one skipped test stands for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_input import save_model
from gpu_standin.control import Driver
from standin_clips import X264, StandinClip, make_standin_clip

from gpu_saliency.analysis.device import AnalysisResult

_HERE = Path(__file__).parent


def _missing() -> str | None:
    if "GPU_STANDIN_KERNELS" in os.environ:
        return None
    return os.environ.get("GPU_STANDIN_MISSING", "needs the stand-in driver; run scripts/test-standin")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (reason := _missing()) is None:
        return
    waiting = [item for item in items if _HERE in item.path.parents]
    if waiting:
        others = set(waiting[1:])
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=waiting[1:])
        waiting[0].add_marker(pytest.mark.skip(f"{reason} (stands for {len(waiting)} tests)"))


@pytest.fixture(scope="session")
def one_driver() -> Driver:
    return Driver()


@pytest.fixture
def driver(one_driver: Driver) -> Iterator[Driver]:
    """The driver, with its normal memory and the schedule ``late`` again after the test."""
    one_driver.schedule("late")
    yield one_driver
    one_driver.fail("", 0)
    one_driver.limit(64 << 30)
    one_driver.schedule("late")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that computes little, so that the tests spend their time on the path around it; it has a gaze map."""
    return save_model(tmp_path_factory.mktemp("model") / "model.onnx", outputs=("saliency_map", "gaze_map"), scale=0.4)


@pytest.fixture(scope="session")
def h264(tmp_path_factory: pytest.TempPathFactory) -> StandinClip:
    """80 frames with closed GOPs of 10."""
    return make_standin_clip(tmp_path_factory.mktemp("h264"), *X264)


@pytest.fixture(scope="session")
def whole(h264: StandinClip, model: Path, one_driver: Driver) -> AnalysisResult:
    """`h264` by one decoder, with work that runs when it is queued."""
    one_driver.schedule("eager")
    return h264.analyse(one_driver, model)
