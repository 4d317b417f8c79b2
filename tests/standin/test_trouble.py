"""Out of memory, failures and cancellation of the device ``cuda`` on the stand-in driver: the result, and what is left behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gpu_standin.control import Driver
from standin_clips import StandinClip, differences

from gpu_saliency.analysis.cuda.decode.idle import release_idle
from gpu_saliency.analysis.cuda.model import CudaModel
from gpu_saliency.analysis.device import AnalysisResult
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.errors import SourceError, ToolMissingError
from gpu_saliency.source.sampling import Sampling


@pytest.fixture(autouse=True)
def no_threads_are_left() -> Iterator[None]:
    yield
    assert [one.name for one in threading.enumerate() if one.name == "prefetch"] == []


def free_pool() -> None:
    import cupy

    release_idle()
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()


@pytest.mark.parametrize("decoders", ["1", "3", "cpu"])
def test_too_little_memory_halves_the_batch(
    driver: Driver, h264: StandinClip, model: Path, whole: AnalysisResult, decoders: str
) -> None:
    """Room for a session of 32 pictures (14 MB), but not for the slots of a lane, of 14 MB each."""
    loaded = CudaModel(model, GpuSettings(batch_size=32))
    device, _ = h264.device(driver, model, decoders=decoders)
    free_pool()
    driver.limit(driver.allocated() + 30_000_000)
    notices: list[str] = []
    found = analyse_clip(h264.clip, loaded, device, Sampling.choose(h264.clip.frame_rate, every=3), on_notice=notices.append)
    assert all("the GPU has too little memory" in line for line in notices)
    assert found.facts["batch_size"] == 32 >> len(notices) < 32
    assert differences(found, whole) == []


def test_memory_for_no_picture_is_an_error(driver: Driver, h264: StandinClip, model: Path) -> None:
    device, _ = h264.device(driver, model)
    loaded = CudaModel(model, GpuSettings(batch_size=4))
    free_pool()
    driver.limit(0)
    with pytest.raises(ToolMissingError, match="too little memory"):
        analyse_clip(h264.clip, loaded, device, Sampling.choose(h264.clip.frame_rate, every=3))


@pytest.mark.parametrize(("kernel", "after"), [("scene_change", 1), ("scene_change", 60), ("picture_to_input", 9)])
def test_a_lane_that_fails_ends_the_analysis(
    driver: Driver, h264: StandinClip, model: Path, whole: AnalysisResult, kernel: str, after: int
) -> None:
    h264.device(driver, model, decoders="3")  # loads the model
    driver.fail(kernel, after)
    with pytest.raises(ToolMissingError, match="the GPU failed: CUDA_ERROR_LAUNCH_FAILED"):
        h264.analyse(driver, model, decoders="3")
    # On a GPU the context would be unusable; here another analysis shows that nothing is left that disturbs it.
    assert differences(h264.analyse(driver, model, decoders="3"), whole) == []


def test_a_failing_model_kernel_ends_all_lanes(driver: Driver, h264: StandinClip, model: Path) -> None:
    driver.fail("activity_blocks", 3)
    with pytest.raises(ToolMissingError, match="the GPU failed"):
        h264.analyse(driver, model, decoders="3")


def test_a_picture_that_is_not_delivered_is_an_error(driver: Driver, h264: StandinClip, model: Path, tmp_path: Path) -> None:
    """The 40th picture has another time stamp than its packet, so NVDEC's parser refuses the packet."""
    data = bytearray(h264.pictures.read_bytes())
    at = (6 + 3 * 40) * 8
    data[at : at + 8] = np.int64(-99).tobytes()
    broken = StandinClip(h264.clip, tmp_path / "broken.pictures")
    broken.pictures.write_bytes(data)
    with pytest.raises(SourceError, match="NVDEC failed"):
        broken.analyse(driver, model, decoders="3")


@pytest.mark.parametrize("decoders", ["1", "3", "cpu"])
def test_a_cancelled_analysis_ends_its_lanes(driver: Driver, h264: StandinClip, model: Path, decoders: str) -> None:
    class CancelledError(Exception):
        pass

    def cancel(*_: int | None) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        h264.analyse(driver, model, decoders=decoders, on_progress=cancel)
    driver.schedule("late")
    free_pool()
    before = driver.allocated()
    with pytest.raises(CancelledError):
        h264.analyse(driver, model, decoders=decoders, on_progress=cancel)
    driver.schedule("late")
    free_pool()
    assert driver.allocated() <= before
