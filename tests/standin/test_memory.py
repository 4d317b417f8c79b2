"""GPU memory after each of several analyses in one process, without Python's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpu_standin.control import Driver
from standin_clips import StandinClip


@pytest.fixture(autouse=True)
def no_garbage_collector() -> Iterator[None]:
    """Memory must be free when its last user is done, not at some time later."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("decoders", ["1", "3", "cpu"])
def test_every_analysis_uses_the_memory_of_the_one_before(driver: Driver, h264: StandinClip, model: Path, decoders: str) -> None:
    import cupy

    pool = cupy.get_default_memory_pool()
    held, used = [], []
    for _ in range(5):
        h264.analyse(driver, model, decoders=decoders)
        held.append(pool.total_bytes())
        used.append(pool.used_bytes())
    assert used[1:] == [used[1]] * 4
    assert held[2:] == [held[2]] * 3
