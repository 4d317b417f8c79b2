"""How many workers suit a machine, and which GPU each of them gets."""

from __future__ import annotations

import pytest

from gpu_saliency.batch.local.machine import Sizes, gpu_slots, parse_visible
from gpu_saliency.batch.local.pool import Limits, LocalPool

GIB = 1 << 30


@pytest.mark.parametrize(
    ("cores", "memory", "slots", "plan", "encode", "threads"),
    [
        (1, 64 * GIB, 0, 1, 2, 1),
        (2, 8 * GIB, 0, 1, 2, 2),
        (2, 2 * GIB, 0, 1, 1, 2),  # room for two workers
        (2, 0, 0, 1, 1, 2),
        (16, 64 * GIB, 0, 2, 2, 16),
        (64, 256 * GIB, 0, 8, 8, 16),
        (64, None, 0, 8, 8, 16),
        (16, 128 * GIB, 1, 1, 2, 16),
        (64, 256 * GIB, 4, 4, 8, 16),
        (128, 1024 * GIB, 8, 8, 16, 16),
        (4, 256 * GIB, 8, 4, 2, 4),  # eight GPUs that four cores cannot feed
        (64, 6 * GIB, 4, 2, 2, 16),  # four workers fit
    ],
)
def test_the_numbers_of_workers(cores: int, memory: int | None, slots: int, plan: int, encode: int, threads: int) -> None:
    assert Sizes.fitting(cores, memory, slots) == Sizes(plan, encode, threads)
    # What the user gives stays.
    assert Sizes.fitting(cores, memory, slots, 5, 7) == Sizes(5, 7, threads)


@pytest.mark.parametrize(
    ("gpus", "jobs", "slots"),
    [
        (4, [{}], 4),
        (0, [{}], 0),
        (4, [{"device": "cpu"}], 0),
        (4, [{"every": "keyframe"}, {"maps": "m.npz"}], 0),
        (4, [{"device": "cpu"}, {"device": "cuda"}], 4),
        (4, [{"gpu": "2"}], 1),
        (4, [{"gpu": "0"}, {"gpu": "1"}], 2),
        (4, [{"gpu": "0,1,2,3"}], 1),
        (4, [{"gpu": "0,1"}, {"gpu": "2,3"}], 2),
        (4, [{"gpu": "0, 1"}, {}], 4),
        (0, [{"gpu": "0"}], 0),
    ],
)
def test_jobs_that_are_analysed_at_once_have_gpus_of_their_own(gpus: int, jobs: list[dict[str, object]], slots: int) -> None:
    assert gpu_slots(gpus, jobs) == slots


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("0,1", ("0", "1")),
        ("3", ("3",)),
        ("", ()),
        ("-1", ()),
        ("0,-1,2", ("0",)),
        ("1,1", ("1",)),
        (" GPU-a , GPU-b", ("GPU-a", "GPU-b")),
    ],
)
def test_the_visible_gpus_are_read_as_cuda_does(text: str, gpus: tuple[str, ...]) -> None:
    assert parse_visible(text) == gpus


def test_each_plan_worker_gets_a_gpu_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,-1,7")
    pool = LocalPool("none", [], {"plan": 4, "encode": 2}, Limits())
    given = [pool._variables("plan", slot).get("CUDA_VISIBLE_DEVICES") for slot in range(4)]
    assert given == ["4", "6", "4", "6"]
    assert pool._variables("encode", 0) == {}
    for sizes, spreads in (({"plan": 1, "encode": 2}, True), ({"plan": 4, "encode": 2}, False)):
        assert LocalPool("none", [], sizes, Limits(), spreads_gpus=spreads)._variables("plan", 0) == {}
