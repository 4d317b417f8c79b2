"""Recorder and reducer of the device cuda, on the host: numpy in place of cupy, and the kernels compiled by g++.

Arithmetic, order and joins are those of a GPU; streams, events and copies are not tested here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from kernel_backends import Backend

from gpu_saliency.analysis.aggregate import AGGREGATORS
from gpu_saliency.analysis.cpu import CpuDevice
from gpu_saliency.analysis.cuda import live, recorder, reducer
from gpu_saliency.analysis.cuda.decode.siting import chroma_offset
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.decode.upload import Packing, pack
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import Traffic
from gpu_saliency.analysis.cuda.recorder import DeviceRecorder, RangeSamples
from gpu_saliency.analysis.cuda.reducer import DeviceReducer
from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.track import SaliencyTrack, encode_gaze, encode_saliency, join_samples
from gpu_saliency.grid import block_mean
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.maps import Maps
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip

CLIP = Clip(Path("clip.mp4"), 333, 180, "yuv420p", Fraction(24), 12, rotation=0)
SIZE = InputSize((96, 54), (96, 64))
STREAM = contextlib.nullcontext()
COUNT = 7
DEEP = ("-vf", "scale=320:192", "-pix_fmt", "yuv422p10le")
TURNED = ("-display_hflip", "-display_rotation:v:0", "90")
SHRINK = 1.5
"""Mean difference in codes by which swscale and the kernel, which shrink in two ways, may change maps; a wrong turn makes tens."""


class HostStream:
    """A stream whose work is done at once."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def synchronize(self) -> None: ...


class HostUploader:
    """Keeps every frame in memory of its own."""

    def __init__(self, _traffic: Traffic) -> None:
        self._memory: list[Any] = []

    def place(self, frame: av.VideoFrame, _stream: Any) -> Surface:
        layout = SampleLayout.of(frame.format.name)
        assert layout is not None
        layout = replace(layout, chroma_offset=chroma_offset(frame, layout.chroma_shift))
        packing = Packing.of(layout, frame.width, frame.height)
        self._memory.append(np.empty(packing.total, np.uint8))
        pack(frame, packing, self._memory[-1])
        planes = tuple(self._memory[-1].ctypes.data + offset for offset in packing.offsets)
        return Surface(layout, frame.width, frame.height, planes, packing.pitches[0], packing.pitches[-1])


class HostSession:
    """The model in a session of the CPU, with the interface of a `CudaSession`."""

    cuda_stream = STREAM

    def __init__(self, model: SaliencyModel, size: InputSize) -> None:
        self._model, self.shape = model, (1, 3, *size.padded[::-1])

    def bind(self, model_input: Any) -> Any:
        return model_input

    def run(self, binding: Any) -> Maps:
        return self._model(binding)


class HostModel:
    """A `CudaModel` whose sessions run on the host."""

    batch_size = 1

    def __init__(self) -> None:
        self._model = SaliencyModel(DEFAULT_MODEL)
        self.path, self.attention, self.input_size = self._model.path, self._model.attention, self._model.input_size

    def session(self, _gpu: int, _batch_size: int, size: InputSize) -> HostSession:
        return HostSession(self._model, size)


@pytest.fixture
def on_host(host_backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the modules under test find numpy as ``cupy``, and run kernels on the host."""
    cupy: Any = ModuleType("cupy")
    for name in ("empty", "zeros", "concatenate", "asarray"):
        setattr(cupy, name, getattr(np, name))
    cupy.asnumpy = np.array
    cupy.cuda = SimpleNamespace(Device=lambda _: contextlib.nullcontext(), Stream=lambda **_: HostStream())
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(Kernels, "on", classmethod(lambda *_: host_backend.kernels))

    def to_host(arrays: Sequence[Any], _stream: Any, traffic: Traffic | None = None) -> list[Any]:
        if traffic is not None:
            traffic.to_host += sum(array.nbytes for array in arrays)
        return [array.copy() for array in arrays]

    monkeypatch.setattr(recorder, "copy_on_device", lambda source, target, _: np.copyto(target, source))
    for module in (recorder, reducer, live):
        monkeypatch.setattr(module, "to_host", to_host)
    monkeypatch.setattr(live, "Uploader", HostUploader)


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


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("extra", [(), DEEP, TURNED], ids=("plain", "deep", "turned"))
def test_a_live_source(tmp_path: Path, extra: tuple[str, ...]) -> None:
    """Frame by frame as on the CPU, apart from the way to shrink; a plan reduces on the device what the host has, bit for bit."""
    path = make_clip(tmp_path / "plain.mkv", size="320x192", extra=extra if extra == DEEP else ())
    if extra == TURNED:
        ffmpeg(*extra, "-i", path, "-c", "copy", path := tmp_path / "turned.mp4")
    clip = probe_clip(path)
    assert clip.mirrored == (extra == TURNED)
    frames = list(decode_frames(clip, DecodeTally()))[:9:3]
    host_model: Any = HostModel()
    device, host = live.CudaLiveRun(clip, host_model, 0), CpuDevice().start_live(clip, SaliencyModel(DEFAULT_MODEL))
    found, expected = ([run.add(3 * i, frame) for i, frame in enumerate(frames)] for run in (device, host))
    for one, other in zip(found, expected, strict=True):
        assert one.samples.sample_frame.tolist() == other.samples.sample_frame.tolist()
        assert one.samples.gaze is not None
        assert other.samples.gaze is not None
        for codes, codes_of_host in ((one.samples.saliency, other.samples.saliency), (one.samples.gaze, other.samples.gaze)):
            assert codes.shape == codes_of_host.shape
            assert np.abs(codes.astype(int) - codes_of_host).mean() < SHRINK
        assert one.samples.motion == pytest.approx(other.samples.motion, abs=1e-3)
        assert np.abs(one.samples.activity.astype(int) - other.samples.activity).mean() < 3 * SHRINK
    samples, starts = join_samples([one.samples for one in found]), np.array([0, 1])
    track = SaliencyTrack(samples.saliency, samples.activity, samples.sample_frame, samples.motion, 7, gaze=samples.gaze)
    for name in ("reduce_saliency", "reduce_gaze"):
        reduced, by_host = (getattr(one, name)(track, starts, "mean", 0.6) for one in (device.reducer(found), HostReducer()))
        np.testing.assert_array_equal(reduced, by_host)
