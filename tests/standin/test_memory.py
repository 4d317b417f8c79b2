"""GPU memory after each of several analyses in one process, without Python's garbage collector."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpu_standin.control import Driver
from standin_clips import StandinClip

from gpu_saliency.source.clip import open_clip


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


def test_a_live_source_uses_the_memory_of_the_plan_before(driver: Driver, h264: StandinClip, model: Path) -> None:
    import cupy

    device, loaded = h264.device(driver, model, batch_size=1)
    run = device.start_live(h264.clip, loaded)
    pool = cupy.get_default_memory_pool()
    with open_clip(h264.clip) as container:
        kept = [run.add(number, frame) for number, frame in enumerate(itertools.islice(container.decode(video=0), 4))]
    held = []
    for _ in range(5):
        assert run.reducer(kept) is not None
        held.append(pool.total_bytes())
    assert held[1:] == [held[1]] * 4
