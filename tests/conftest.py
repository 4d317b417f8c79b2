"""Fixtures and markers of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kernel_backends import Backend, CudaBackend, ShimBackend, build_shim
from requirements import need, required


def pytest_configure() -> None:
    try:
        required()  # a misspelt requirement would otherwise require nothing
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_cuda"):
        need("cuda")


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
    said = capfd.readouterr().err
    assert "runtime error" not in said, said
