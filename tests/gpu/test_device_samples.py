"""Recorder and reducer of the device cuda, on the host: numpy in place of cupy, and the kernels compiled by g++.

Arithmetic, order and joins are those of a GPU; streams, events and copies are not tested here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kernel_backends import Backend

from gpu_saliency.analysis.aggregate import AGGREGATORS
from gpu_saliency.analysis.cuda import recorder, reducer
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import Traffic
from gpu_saliency.analysis.cuda.recorder import DeviceRecorder, RangeSamples
from gpu_saliency.analysis.cuda.reducer import DeviceReducer
from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.track import SaliencyTrack, encode_gaze, encode_saliency
from gpu_saliency.grid import block_mean
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.maps import Maps
from gpu_saliency.source.clip import Clip

CLIP = Clip(Path("clip.mp4"), 333, 180, "yuv420p", Fraction(24), 12, rotation=0)
SIZE = InputSize((96, 54), (96, 64))
STREAM = contextlib.nullcontext()
COUNT = 7


@pytest.fixture
def on_host(host_backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the modules under test find numpy as ``cupy``, and run kernels on the host."""
    cupy: Any = ModuleType("cupy")
    for name in ("empty", "zeros", "concatenate", "asarray"):
        setattr(cupy, name, getattr(np, name))
    cupy.asnumpy = np.array
    cupy.cuda = SimpleNamespace(Device=lambda _: contextlib.nullcontext(), Stream=lambda **_: contextlib.nullcontext())
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(Kernels, "on", classmethod(lambda *_: host_backend.kernels))

    def to_host(arrays: Sequence[Any], _stream: Any, traffic: Traffic | None = None) -> list[Any]:
        if traffic is not None:
            traffic.to_host += sum(array.nbytes for array in arrays)
        return [array.copy() for array in arrays]

    monkeypatch.setattr(recorder, "to_host", to_host)
    monkeypatch.setattr(reducer, "to_host", to_host)


def noise(*, has_gaze: bool) -> tuple[Maps, Any]:
    rng = np.random.default_rng(3)
    saliency, gaze = (rng.random((COUNT, 64, 96), np.float32) ** 4 for _ in range(2))
    return Maps(saliency, gaze if has_gaze else None), rng.random((COUNT, 54, 96), np.float32)


def recorded(maps: Maps, luma: Any, batches: list[list[int]]) -> list[Any]:
    """The joined samples of ranges, each given as the sizes of its batches, which are the first samples of longer arrays."""
    device, ranges, start = DeviceRecorder(CLIP, SIZE), [], 0
    for sizes in batches:
        ranges.append(RangeSamples(None, 0))
        for count in sizes:
            numbers = list(range(start, start + count))
            own = Maps(maps.saliency[start:], None if maps.gaze is None else maps.gaze[start:])
            device.add(ranges[-1], numbers, own, luma[start:], STREAM)
            start += count
    assert not device.was_breached(0, STREAM, Traffic())
    return device.join(ranges, 0, STREAM, Traffic())


@pytest.mark.usefixtures("on_host")
def test_gaze_goes_the_way_of_saliency() -> None:
    """Each map has its own code; ranges and batches do not change a bit, and edges of codes apart they are the host's."""
    maps, luma = noise(has_gaze=True)
    whole = recorded(maps, luma, [[COUNT]])
    assert [array.dtype for array in whole] == [np.uint8, np.uint8, np.float32, np.uint8]
    for found, expected in zip(recorded(maps, luma, [[2, 1], [3], [1]]), whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    for codes, encode, map_ in ((whole[0], encode_saliency, maps.saliency), (whole[3], encode_gaze, maps.gaze)):
        assert map_ is not None
        expected = encode(block_mean(map_[:, :54], 333, 180))
        apart = np.abs(codes.astype(int) - expected)
        assert apart.max() <= 1
        assert apart.mean() < 1e-2


@pytest.mark.usefixtures("on_host")
def test_a_model_with_one_output() -> None:
    maps, luma = noise(has_gaze=False)
    saliency, activity, motion = recorded(maps, luma, [[3, 1], [3]])
    assert (len(saliency), len(activity), len(motion)) == (COUNT, COUNT, COUNT)
    track = SaliencyTrack(saliency, activity, np.arange(COUNT), motion, COUNT)
    with pytest.raises(ValueError, match="no gaze maps"):
        DeviceReducer(0, saliency, activity).reduce_gaze(track, np.array([0]), "mean", 0.6)


@pytest.mark.usefixtures("on_host")
def test_a_gaze_map_that_breaks_the_contract_is_noticed() -> None:
    maps, luma = noise(has_gaze=True)
    assert maps.gaze is not None
    maps.gaze[1, 5, 5] = np.nan
    device = DeviceRecorder(CLIP, SIZE)
    device.add(RangeSamples(None, 0), [0, 1], maps, luma, STREAM)
    assert device.was_breached(0, STREAM, Traffic())


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_segments_are_reduced_as_on_the_host(aggregator: str) -> None:
    """Bit for bit, both maps; the plan of a clip does not depend on where it was analysed."""
    saliency, activity, motion, gaze = recorded(*noise(has_gaze=True), [[4], [3]])
    track = SaliencyTrack(saliency, activity, np.arange(COUNT), motion, COUNT, cuts=(2,), gaze=gaze)
    device, host, starts = DeviceReducer(0, saliency, activity, gaze), HostReducer(), np.array([0, 2, 6])
    for name in ("reduce_saliency", "reduce_gaze"):
        found, expected = (getattr(one, name)(track, starts, aggregator, 0.6) for one in (device, host))
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(device.reduce_activity(track, starts), host.reduce_activity(track, starts))
