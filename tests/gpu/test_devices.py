"""The contract of every device, on each available one; and the results of the GPU against those of the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lavfi import TESTSRC, encode_lavfi
from map_distance import assert_close_maps
from requirements import lack

from gpu_saliency.analysis.aggregate import AGGREGATORS
from gpu_saliency.analysis.cuda.decode.idle import release_idle
from gpu_saliency.analysis.device import AnalysisResult, Device, DeviceMemoryError, Model
from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.analysis.track import decode_gaze
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.segments import split_track
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling

CUT = 31
CUDA = pytest.param("cuda", marks=pytest.mark.needs_cuda)
SETTINGS = GpuSettings(batch_size=4)
"""A batch size that the clips here fill more than once."""


@pytest.fixture(params=["cpu", CUDA])
def device_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def cut_clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """80 frames of 322x180 at 24 a second: moving coloured figures, a fractal from frame 31 on; a key frame every ten frames."""
    path = tmp_path_factory.mktemp("devices") / "cut.mp4"
    scenes = f"testsrc2=size=322x180:rate=24,trim=end_frame={CUT}", f"mandelbrot=size=322x180:rate=24,trim=end_frame={80 - CUT}"
    graph = "{},format=yuv444p[a];{},format=yuv444p,setsar=1[b];[a][b]concat".format(*scenes)
    encode_lavfi(path, graph, g=10, bf=2)
    return probe_clip(path)


def analyse(name: str, clip: Clip, step: int = 3, settings: GpuSettings = SETTINGS) -> AnalysisResult:
    device, model, _ = choose_device(name, DEFAULT_MODEL, settings)
    return analyse_clip(clip, model, device, Sampling(Fraction(step)))


def test_a_clip_with_a_cut(device_name: str, cut_clip: Clip) -> None:
    found = analyse(device_name, cut_clip)
    track = found.track
    assert track.frame_count == 80
    assert track.cuts == (CUT,)
    assert track.sample_frame.tolist() == list(range(1, 80, 3))
    assert track.saliency.shape == (27, *grid_shape(322, 180))
    assert track.saliency.max() > track.saliency.min()
    assert track.gaze is not None
    assert track.gaze.max() > track.gaze.min()
    assert track.attention is not None
    assert track.motion[0] == 0
    assert (track.motion[1:] > 0).all()
    assert track.frame_pts is not None
    assert len(track.frame_pts) == 80
    assert not found.variable_frame_rate
    assert found.facts["decoder"]
    assert found.facts["decoder_reason"]


@pytest.mark.parametrize("frames", [1, 2])
def test_a_clip_too_short_for_a_sample_gives_its_last_frame(device_name: str, tmp_path: Path, frames: int) -> None:
    path = encode_lavfi(tmp_path / "clip.mp4", TESTSRC.format(size="160x96", frames=frames))
    track = analyse(device_name, probe_clip(path), step=12).track
    assert (track.frame_count, track.sample_frame.tolist()) == (frames, [frames - 1])


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_raw_video(device_name: str, tmp_path: Path, pix_fmt: str) -> None:
    path = encode_lavfi(tmp_path / "clip.yuv", TESTSRC.format(size="160x96", frames=12), pix_fmt, "rawvideo")
    clip = probe_clip(path, width=160, height=96, pix_fmt=pix_fmt)
    found = analyse(device_name, clip)
    assert (found.track.frame_count, found.track.sample_frame.tolist()) == (12, [1, 4, 7, 10])
    assert found.corrupt_packets == 0


def test_a_duration_cuts(device_name: str, cut_clip: Clip) -> None:
    track = analyse(device_name, replace(cut_clip, duration=1.0)).track
    assert (track.frame_count, track.cuts) == (24, ())


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_segments_are_reduced_as_on_the_host(device_name: str, cut_clip: Clip, aggregator: str) -> None:
    track = analyse(device_name, cut_clip).track
    reducer = track.reducer or HostReducer()
    for segments in ("clip", "3", "auto"):
        starts = split_track(track, segments)
        expected = HostReducer().reduce_saliency(track, starts, aggregator, 0.6)
        np.testing.assert_array_equal(reducer.reduce_saliency(track, starts, aggregator, 0.6), expected)
        expected = HostReducer().reduce_gaze(track, starts, aggregator, 0.6)
        np.testing.assert_array_equal(reducer.reduce_gaze(track, starts, aggregator, 0.6), expected)
        np.testing.assert_array_equal(reducer.reduce_activity(track, starts), HostReducer().reduce_activity(track, starts))


class RunsOutOfMemory:
    """A real device whose runs raise `DeviceMemoryError` in the first ``times`` inferences."""

    def __init__(self, device: Device, times: int) -> None:
        self.name, self._device, self._times = device.name, device, times

    def load_model(self, path: Path) -> Model:
        return self._device.load_model(path)

    def start_live(self, clip: Clip, model: Model) -> Any:
        raise NotImplementedError

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> Any:
        run: Any = self._device.start(clip, model, sampling)
        infer: Callable[..., Any] = run.infer
        left = [self._times]

        def fails(batch: Any) -> Any:
            if left[0]:
                left[0] -= 1
                raise DeviceMemoryError("none left")
            return infer(batch)

        run.infer = fails
        return run


def test_out_of_memory_on_the_cpu_is_an_error(cut_clip: Clip) -> None:
    device, model, _ = choose_device("cpu", DEFAULT_MODEL)
    with pytest.raises(ToolMissingError, match="out of memory: none left"):
        analyse_clip(cut_clip, model, RunsOutOfMemory(device, 1), Sampling(Fraction(3)))


@pytest.mark.needs_cuda
@pytest.mark.parametrize(("times", "batch"), [(1, 2), (2, 1)])
def test_out_of_memory_halves_the_batch_with_a_notice(cut_clip: Clip, times: int, batch: int) -> None:
    whole = analyse("cuda", cut_clip).track
    device, model, _ = choose_device("cuda", DEFAULT_MODEL, SETTINGS)
    notices: list[str] = []
    again = analyse_clip(cut_clip, model, RunsOutOfMemory(device, times), Sampling(Fraction(3)), on_notice=notices.append)
    assert [line.rpartition(" ")[2] for line in notices] == ["2", "1"][:times]
    assert again.facts["batch_size"] == batch
    assert_close(again, whole)


@pytest.mark.needs_cuda
def test_no_memory_for_one_picture_is_an_error(cut_clip: Clip) -> None:
    device, model, _ = choose_device("cuda", DEFAULT_MODEL, SETTINGS)
    with pytest.raises(ToolMissingError, match="even for one picture"):
        analyse_clip(cut_clip, model, RunsOutOfMemory(device, 3), Sampling(Fraction(3)))


@pytest.mark.needs_cuda
def test_real_exhaustion_leads_to_smaller_batches(cut_clip: Clip) -> None:
    """CuPy's pool is limited below the slots of 64 pictures: 3 of 64 x 3 x 144 x 256 x 4 bytes are 85 MB."""
    import cupy

    device, model, _ = choose_device("cuda", DEFAULT_MODEL, GpuSettings(batch_size=64))
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + 70_000_000)
    notices: list[str] = []
    try:
        found = analyse_clip(cut_clip, model, device, Sampling(Fraction(3)), on_notice=notices.append)
    finally:
        pool.set_limit(size=0)
    assert notices
    assert found.facts["batch_size"] < 64


OFF_BY_ONE = 0.01
"""Share of a plan's blocks that may differ by one QP."""


def assert_close(found: AnalysisResult, expected: Any) -> None:
    track = found.track
    assert track.frame_count == expected.frame_count
    assert track.cuts == expected.cuts
    np.testing.assert_array_equal(track.sample_frame, expected.sample_frame)
    np.testing.assert_array_equal(track.frame_pts, expected.frame_pts)
    assert_close_maps(track.saliency / 255, expected.saliency / 255)
    assert track.gaze is not None
    assert_close_maps(decode_gaze(track.gaze), decode_gaze(expected.gaze))
    assert track.attention == expected.attention


def plan_of(clip: Clip, found: AnalysisResult) -> Any:
    return plan_track(found.track, (clip.width, clip.height), RoiPolicy(segments="clip"))


@pytest.mark.needs_cuda
@pytest.mark.parametrize("decoders", ["1", "cpu"])
def test_the_plan_equals_that_of_the_cpu(cut_clip: Clip, decoders: str) -> None:
    cpu = analyse("cpu", cut_clip)
    gpu = analyse("cuda", cut_clip, settings=replace(SETTINGS, decoders=decoders))
    assert_close(gpu, cpu.track)
    difference = np.abs(plan_of(cut_clip, gpu).qp_offset.astype(int) - plan_of(cut_clip, cpu).qp_offset)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= OFF_BY_ONE


OPEN_GOPS = {"libx264": "open-gop=1:b-pyramid=normal", "libx265": "open-gop=1:min-keyint=20:log-level=none"}


@pytest.fixture(scope="module", params=["closed", *OPEN_GOPS])
def split_clip(request: pytest.FixtureRequest, cut_clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """`cut_clip`, and clips whose key frames have leading pictures, in H.264 and HEVC; a key frame every twenty frames."""
    if request.param == "closed":
        return cut_clip
    path = tmp_path_factory.mktemp("open") / "open.mp4"
    options = {request.param.removeprefix("lib") + "-params": f"keyint=20:bframes=4:{OPEN_GOPS[request.param]}"}
    return probe_clip(encode_lavfi(path, "mandelbrot=size=322x180:rate=24,trim=end_frame=80", codec=request.param, **options))


@pytest.mark.needs_cuda
def test_ranges_give_the_track_of_the_whole_clip(split_clip: Clip) -> None:
    """Bit for bit: the same kernels compute the seams again, and the model gets the same pictures in other batches."""
    whole, ranges = (analyse("cuda", split_clip, settings=replace(SETTINGS, batch_size=1, decoders=n)) for n in ("1", "3"))
    if whole.facts["decoder"] == "upload":
        lack("cuda", whole.facts["decoder_reason"])
    assert (whole.facts["decoders"], ranges.facts["decoders"]) == (1, 3)
    for name in ("saliency", "gaze", "activity", "sample_frame", "motion", "frame_pts", "cuts", "frame_count"):
        np.testing.assert_array_equal(getattr(ranges.track, name), getattr(whole.track, name), err_msg=name)


@pytest.mark.needs_cuda
def test_both_nvdec_backends_give_the_same_track(cut_clip: Clip) -> None:
    from gpu_saliency.analysis.cuda.device import CudaRun
    from gpu_saliency.analysis.cuda.model import CudaModel
    from gpu_saliency.analysis.cuda.probe import probe

    expected = analyse("cuda", cut_clip)
    if expected.facts["decoder"] != "nvdec":
        lack("cuda", expected.facts["decoder_reason"])
    machine = replace(probe(), nvdec_error="left out by this test")
    run = CudaRun(cut_clip, CudaModel(DEFAULT_MODEL, SETTINGS), Sampling(Fraction(3)), SETTINGS, machine)
    for batch in run.batches():
        run.add(batch, run.infer(batch))
    found = run.finish()
    assert found.facts["decoder"] == "pyav-cuda"
    np.testing.assert_array_equal(found.track.saliency, expected.track.saliency)
    np.testing.assert_array_equal(found.track.gaze, expected.track.gaze)
    np.testing.assert_array_equal(found.track.motion, expected.track.motion)


@pytest.mark.needs_cuda
def test_only_the_track_is_copied_to_the_host(cut_clip: Clip) -> None:
    found = analyse("cuda", cut_clip)
    track = found.track
    assert track.gaze is not None
    compact = track.saliency.nbytes + track.gaze.nbytes + track.activity.nbytes + track.motion.nbytes
    scenes = 2 * 48 * 48 * 4 * 2 + 4 * 4096
    assert compact <= found.facts["copied_to_host_bytes"] <= compact + scenes + 64


class Decoder:
    """PyNvVideoCodec's decoder. Before each fetch ``before`` gets the frames of the last fetch and the address of the stream."""

    def __init__(self, create: Callable[..., Any], before: Callable[[Any, int], None], **options: Any) -> None:
        self._decoder, self._before, self._stream = create(**options), before, options["cudastream"]
        self._last: list[Any] = []

    def Decode(self, packet: Any) -> Any:  # noqa: N802  # the library's name
        self._before(self._last, self._stream)
        self._last = self._decoder.Decode(packet)
        return self._last


def poison(frames: Any, stream: int) -> None:
    """Overwrite the surfaces on the decoder's stream: kernels that read them on another stream, or later, get this."""
    import cupy

    for frame in frames:
        cupy.cuda.runtime.memsetAsync(frame.GetPtrToPlane(0), 0xA5, frame.framesize(), stream)


def wait(_: Any, stream: int) -> None:
    """Let the host wait for the stream: if the track changes, the library does not fill the surfaces in the order of the stream."""
    import cupy

    cupy.cuda.runtime.streamSynchronize(stream)


@pytest.mark.needs_cuda
@pytest.mark.parametrize("before", [poison, wait])
def test_surfaces_are_filled_and_read_in_the_order_of_the_stream(
    cut_clip: Clip, monkeypatch: pytest.MonkeyPatch, before: Callable[[Any, int], None]
) -> None:
    import PyNvVideoCodec

    expected = analyse("cuda", cut_clip)
    if expected.facts["decoder"] != "nvdec":
        lack("cuda", expected.facts["decoder_reason"])
    release_idle()  # so that another decoder is made
    fetched = []

    def count(frames: Any, stream: int) -> None:
        fetched.extend(frames)
        before(frames, stream)

    monkeypatch.setattr(PyNvVideoCodec, "CreateDecoder", functools.partial(Decoder, PyNvVideoCodec.CreateDecoder, count))
    found = analyse("cuda", cut_clip)
    release_idle()
    assert len(fetched) >= 40
    np.testing.assert_array_equal(found.track.saliency, expected.track.saliency)
    np.testing.assert_array_equal(found.track.gaze, expected.track.gaze)
    np.testing.assert_array_equal(found.track.motion, expected.track.motion)


@pytest.mark.needs_cuda
def test_two_gpus_share_a_clip(cut_clip: Clip) -> None:
    import cupy

    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("one GPU")
    one, two = (analyse("cuda", cut_clip, settings=replace(SETTINGS, batch_size=1, gpus=gpus)) for gpus in ((0,), (0, 1)))
    assert len(two.facts["gpus"]) == 2
    assert_close(two, one.track)
    np.testing.assert_array_equal(two.track.motion, one.track.motion)
