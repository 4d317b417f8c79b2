"""Fixtures and markers of all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import ffmpeg
from kernel_backends import Backend, CudaBackend, ShimBackend, build_shim
from requirements import MISSING, need, required

from gpu_saliency.doctor import make_test_clip
from gpu_saliency.encode.channels.svtav1_child import refuse_real_time

_CACHE = "GPU_SALIENCY_CACHE_DIR"


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ.pop(_CACHE, ""), ignore_errors=True)


def pytest_configure() -> None:
    refuse_real_time()  # some tests encode by PyAV's SVT-AV1 in this process
    # For fixtures that several tests share; the user's own cache is never touched.
    os.environ[_CACHE] = tempfile.mkdtemp(prefix="gpu_saliency-tests-")
    os.environ["GPU_SALIENCY_CONFIG"] = ""  # nor is the user's config read
    try:
        required()  # otherwise a misspelt name would have no effect
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a GPU, one skipped test stands for all that need one, so that its reason is shown once and not 600 times."""
    if "cuda" in required() or (reason := MISSING["cuda"]()) is None:
        return
    waiting = [item for item in items if item.get_closest_marker("needs_cuda")]
    if len(waiting) > 1:
        others = set(waiting[1:])
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=waiting[1:])
        waiting[0].add_marker(pytest.mark.skip(f"{reason} (stands for {len(waiting)} tests that need a GPU)"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_cuda"):
        need("cuda")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has an empty cache folder, which it shares with no other test and not with the user."""
    monkeypatch.setenv(_CACHE, str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def host_backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    need("g++")
    return ShimBackend(build_shim(tmp_path_factory.mktemp("kernels")))


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.needs_cuda)])
def backend(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Iterator[Backend]:
    """Runs a test's kernels on the host, where undefined behaviour fails it, and again on the GPU."""
    if request.param == "cuda":
        yield CudaBackend()
        return
    yield request.getfixturevalue("host_backend")
    err = capfd.readouterr().err
    assert "runtime error" not in err, err


@pytest.fixture(scope="session")
def grain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a drifting texture under grain, 320x192, with a tone."""
    folder = tmp_path_factory.mktemp("clip")
    make_test_clip(folder / "raw.yuv")
    raw = ("-f", "rawvideo", "-video_size", "320x192", "-framerate", 24, "-i", folder / "raw.yuv")
    ffmpeg(*raw, "-f", "lavfi", "-i", "sine=duration=2", "-crf", 8, "-c:a", "aac", folder / "in.mp4")
    return folder / "in.mp4"


@pytest.fixture(scope="session")
def cut_path(grain_path: Path) -> Path:
    """`grain_path` with a cut: from frame 24 on upside down and negative, so that no earlier frame predicts later ones."""
    path = grain_path.with_name("cut.mp4")
    filters = "split[a][b];[a]trim=end_frame=24[c];[b]trim=start_frame=24,negate,vflip[d];[c][d]concat"
    ffmpeg("-i", grain_path, "-vf", filters, "-crf", 8, "-c:a", "copy", path)
    return path
