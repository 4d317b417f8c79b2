"""The host side of the device cuda: settings, choice of the decoder, layouts, packets, joins."""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnxruntime
import pytest
from bad_input import save_model
from clips import ffmpeg, make_clip
from kernel_backends import Array, Backend
from stub_driver import start

import gpu_saliency
from gpu_saliency.analysis.cuda.decode.choose import choose_decoder, fits
from gpu_saliency.analysis.cuda.decode.colour import yuv_to_rgb_matrix
from gpu_saliency.analysis.cuda.decode.index import FrameIndex, index_clip
from gpu_saliency.analysis.cuda.decode.nvdec import fed_packets, packed_surface, surface_layout
from gpu_saliency.analysis.cuda.decode.ranges import split_ranges
from gpu_saliency.analysis.cuda.decode.setup import decoder_counts, range_starts
from gpu_saliency.analysis.cuda.decode.siting import chroma_offset
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.decode.upload import Packing, pack, readable_frame
from gpu_saliency.analysis.cuda.device import sampled_frames
from gpu_saliency.analysis.cuda.kernels.launch import FORMATS, address_of
from gpu_saliency.analysis.cuda.kernels.text import kernel_arguments
from gpu_saliency.analysis.cuda.libraries import library_folders
from gpu_saliency.analysis.cuda.nvdec_caps import visible_device
from gpu_saliency.analysis.cuda.probe import Gpu, GpuMachine
from gpu_saliency.analysis.cuda.scene_changes import join_changes
from gpu_saliency.analysis.cuda.session import free_dimensions, session_providers
from gpu_saliency.analysis.settings import GpuSettings, parse_gpus
from gpu_saliency.errors import ToolMissingError, UsageError
from gpu_saliency.model.contract import IMAGENET_MEAN, IMAGENET_STD, InputSize, ModelContract
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.scenes import luma_lattice
from gpu_saliency.source.shrink import Shrinker

CAPS = {"width_min": 48, "width_max": 4096, "height_min": 16, "height_max": 4096, "mb_num_max": 65536, "num_decoder_engines": 3}
MACHINE = GpuMachine(
    None,
    "13.0",
    (Gpu(0, "A", 1, "9.0"), Gpu(1, "B", 1, "9.0")),
    nvcuvid_error=None,
    cupy_error=None,
    nvdec_error=None,
    caps={"0/h264/420/8": CAPS, "1/h264/420/8": CAPS, "0/h264/420/10": None, "0/hevc/420/10": CAPS, "1/hevc/420/10": None},
)
CLIP = Clip(Path("clip.mp4"), 1920, 1080, "yuv420p", Fraction(24), 100, codec="h264")


def clip(**changes: object) -> Clip:
    values = {"path": CLIP.path, "width": 1920, "height": 1080, "pix_fmt": "yuv420p", "frame_rate": Fraction(24), "frame_count": 9}
    return Clip(**(values | {"codec": "h264"} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "settings", "name", "reason"),
    [
        ({}, GpuSettings(), "nvdec", "NVDEC decodes h264 420 8 bit"),
        ({"pix_fmt": "yuv420p10le"}, GpuSettings(), "upload", "GPU 0 does not decode h264 420 10 bit"),
        ({"codec": "hevc", "pix_fmt": "yuv420p10le"}, GpuSettings(), "nvdec", "hevc 420 10 bit"),
        ({"codec": "hevc", "pix_fmt": "yuv420p10le"}, GpuSettings((0, 1)), "upload", "GPU 1 does not"),
        ({"width": 5000}, GpuSettings(), "upload", "5000x1080"),
        ({"pix_fmt": "gbrp"}, GpuSettings(), "upload", "no pixel format like gbrp"),
        ({"pix_fmt": "gray"}, GpuSettings(), "upload", "gray"),
        ({"codec": "rawvideo"}, GpuSettings(), "upload", "raw video"),
        ({}, GpuSettings(decoders="cpu"), "upload", "asked for"),
    ],
)
def test_choice_of_the_decoder(changes: dict[str, object], settings: GpuSettings, name: str, reason: str) -> None:
    choice = choose_decoder(clip(**changes), MACHINE, settings)
    assert choice.name == name
    assert reason in choice.reason


def test_a_broken_installation_is_an_error_and_no_fallback() -> None:
    broken = GpuMachine(
        None, "13.0", MACHINE.gpus, nvcuvid_error="OSError: libnvcuvid.so.1", cupy_error=None, nvdec_error="the same"
    )
    with pytest.raises(ToolMissingError, match="libnvcuvid") as caught:
        choose_decoder(CLIP, broken, GpuSettings())
    assert "NVIDIA_DRIVER_CAPABILITIES" in str(caught.value)
    assert choose_decoder(CLIP, broken, GpuSettings(decoders="cpu")).name == "upload"
    no_package = replace(MACHINE, nvdec_error="ModuleNotFoundError")
    assert choose_decoder(CLIP, no_package, GpuSettings()).name == "pyav-cuda"
    theora = choose_decoder(clip(codec="theora"), no_package, GpuSettings())
    assert (theora.name, theora.is_unexpected) == ("upload", True)


def test_sizes_that_nvdec_decodes() -> None:
    assert fits(CAPS, 48, 16)
    assert fits(CAPS, 4096, 4096)
    assert not fits(CAPS, 47, 16)
    assert not fits(CAPS, 4097, 16)
    assert not fits(CAPS | {"mb_num_max": 65535}, 4096, 4096)


def test_a_codec_that_nvdec_has_not_is_not_asked_for() -> None:
    assert MACHINE.decoder_caps(0, "prores", "422", 10) is None


def test_number_of_a_gpu_for_a_process_that_sees_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_device(2) == "2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-8f2a,5")
    assert [visible_device(gpu) for gpu in range(3)] == ["3", "GPU-8f2a", "5"]


def test_only_one_function_makes_a_gpu_current() -> None:
    """`on_gpu`, which also converts the errors of doing so."""
    package = Path(gpu_saliency.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "cuda.Device(" in path.read_text(encoding="utf-8")]
    assert users == ["memory.py"]


@pytest.mark.parametrize("text", ["", "a", "0,", "-1", "0,0", "64", "1.5"])
def test_gpu_lists_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="gpus="):
        GpuSettings(parse_gpus(text))


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "many", "2.0"])
def test_decoders_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="decoders="):
        GpuSettings(decoders=text)


def test_gpu_libraries_are_imported_lazily() -> None:
    """Checked in a new process. Holds trivially where none is installed."""
    package = Path(gpu_saliency.__file__).parent
    paths = [path.relative_to(package.parent).with_suffix("") for path in (package / "analysis" / "cuda").rglob("*.py")]
    modules = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    assert {"gpu_saliency.analysis.cuda.decode.nvdec", "gpu_saliency.analysis.cuda.kernels.launch"} <= set(modules)
    libraries = ["cupy", "PyNvVideoCodec", "onnxruntime", "tensorrt"]
    code = f"import importlib, sys, gpu_saliency.cli\nfor name in {modules}: importlib.import_module(name)\n"
    code += f"print([name for name in {libraries} if name in sys.modules])"
    assert start(None, "-c", code).out == "[]\n"


@pytest.mark.parametrize("settings", [GpuSettings(), GpuSettings(provider="tensorrt", exact=False)])
def test_no_session_may_use_the_cpu(settings: GpuSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    providers = session_providers(settings, 1, 0x1000, "engine")
    assert [name for name, _ in providers if "CPU" in name] == []
    for _, options in providers:
        assert options["device_id"] == "1"
        assert options["user_compute_stream"] == str(0x1000)
        assert all(isinstance(value, str) for value in options.values())


def test_a_fixed_shape_leaves_no_arithmetic_on_shapes() -> None:
    """ONNX Runtime would run it on the CPU, and so refuse the shipped model in a session without the CPU."""
    plain = onnxruntime.InferenceSession(str(DEFAULT_MODEL), providers=["CPUExecutionProvider"])
    contract = ModelContract.read(DEFAULT_MODEL, plain)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    dimensions = free_dimensions(contract, (16, 3, 144, 256))
    assert sorted(dimensions.values()) == [16, 144, 256]
    for name, length in dimensions.items():
        options.add_free_dimension_override_by_name(name, length)
    session = onnxruntime.InferenceSession(str(DEFAULT_MODEL), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()}
    assert "Conv" in kinds
    assert not kinds & {"Shape", "Gather", "Slice", "Unsqueeze", "Reshape", "Equal", "Where", "Cast", "ConstantOfShape"}
    assert session.get_outputs()[0].shape == [16, 1, 144, 256]


def test_onnxruntime_refuses_a_session_that_would_use_the_cpu() -> None:
    """With the message that `CudaSession` looks for."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with pytest.raises(Exception, match="assigned to the default CPU EP"):
        onnxruntime.InferenceSession(str(DEFAULT_MODEL), options, providers=[], enable_fallback=0)


RANGE_ENCODES = {
    "h264": ("-c:v", "libx264", "-g", 12, "-bf", 2),
    "hevc": ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=12:bframes=2:open-gop=0"),
    "m4v": ("-c:v", "mpeg4", "-g", 12, "-bf", 2),
}


@pytest.mark.parametrize("codec", RANGE_ENCODES)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_packets_for_nvdec(tmp_path: Path, codec: str, suffix: str) -> None:
    """The packets of a range, concatenated without a container, are a stream that decodes to the frames of the range."""
    path = tmp_path / f"clip{suffix}"
    source = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24,trim=end_frame=72", "-pix_fmt", "yuv420p")
    ffmpeg(*source, *RANGE_ENCODES[codec], path)
    found = probe_clip(path)
    index = index_clip(found)
    part = split_ranges(index, 3)[1]
    assert part.start > 0
    packets = list(fed_packets(found, index, part))
    assert packets[-1] == (None, 0)
    times = index.pts[part.start : part.end].tolist()
    assert set(times) <= {pts for data, pts in packets if data is not None}
    stream = tmp_path / f"alone.{codec}"
    stream.write_bytes(b"".join(bytes(data) for data, _ in packets if data is not None))
    whole = [frame.to_ndarray() for frame in decode_frames(found, DecodeTally())]
    with av.open(str(stream)) as container:
        alone = [frame.to_ndarray() for frame in container.decode(video=0)]
    # Leading pictures of the key frame may precede it.
    first = next(i for i, picture in enumerate(alone) if np.array_equal(picture, whole[part.start]))
    for number in range(part.start, part.end):
        np.testing.assert_array_equal(alone[first + number - part.start], whole[number])


SHRUNK_TOLERANCE = 1.0
"""Codes, on average over a picture: the CPU path rounds between its two steps, the kernel does not."""


def pictured(backend: Backend, surface: Surface, matrix: Array, size: InputSize) -> Array:
    """The kernel's R'G'B' codes ``[3, h, w]`` of ``surface``."""
    width, height = size.content
    model_input, luma = backend.put(np.zeros((3, height, width), np.float32)), backend.put(np.zeros((height, width), np.float32))
    backend.kernels.picture_to_input(surface, size, 0, backend.put(matrix), model_input, luma)
    mean, std = (values[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return np.asarray((backend.get(model_input) * std + mean) * 255)


def drawn_frame(width: int, height: int, pix_fmt: str) -> av.VideoFrame:
    """Waves in each colour, long compared with a pixel, so that rounded positions do not matter."""
    y, x = np.mgrid[:height, :width].astype(float)
    waves = [np.sin(x / 31 + phase) * np.cos(y / 23 + phase) for phase in (0, 2, 4)]
    rgb = np.stack([128 + 100 * wave for wave in waves], axis=-1).round().astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
    return frame.reformat(format=pix_fmt)


UPLOADED = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "nv12", "p010le", "gray", "gbrp", "gbrp10le", "yuyv422")


@pytest.mark.parametrize(("width", "height"), [(322, 180), (321, 181)])
@pytest.mark.parametrize("pix_fmt", UPLOADED)
def test_uploaded_frames(host_backend: Backend, pix_fmt: str, width: int, height: int) -> None:
    """A frame packed for upload gives the picture of the CPU path in every pixel format, converted first or not."""
    frame = drawn_frame(width, height, pix_fmt)
    size = InputSize((64, 36), (64, 36))
    readable, colour = readable_frame(frame)
    layout = SampleLayout.of(readable.format.name)
    assert layout is not None
    layout = replace(layout, chroma_offset=chroma_offset(readable, layout.chroma_shift))
    packing = Packing.of(layout, width, height)
    buffer = np.zeros(packing.total, np.uint8)
    pack(readable, packing, buffer)
    addresses = tuple(buffer.ctypes.data + offset for offset in packing.offsets)
    surface = Surface(layout, width, height, addresses, packing.pitches[0], packing.pitches[-1])
    matrix = yuv_to_rgb_matrix(colour.colorspace, colour.is_full, colour.bits, has_chroma=colour.has_chroma)
    found = pictured(host_backend, surface, matrix, size)
    expected = Shrinker(size.content)(frame).transpose(2, 0, 1)
    assert np.abs(found - expected).mean() < SHRUNK_TOLERANCE


NVDEC_NAMES = {"NV12": "nv12", "P016": "p010le", "YUV444": "yuv444p", "NV16": "nv16"}


@pytest.mark.parametrize(("width", "height"), [(322, 180), (320, 181)])
@pytest.mark.parametrize("name", NVDEC_NAMES)
def test_surfaces_in_the_layout_of_nvdec(host_backend: Backend, name: str, width: int, height: int) -> None:
    """Consecutive planes with one pitch, which is computed from the size alone, give the same picture."""
    frame = drawn_frame(width, height, NVDEC_NAMES[name])
    bits = frame.format.components[0].bits
    layout = surface_layout(name, bits)
    packing = Packing.of(layout, width, height)
    pitch = 2 * max(packing.pitches)
    buffer = np.zeros(sum(packing.lines) * pitch, np.uint8)
    addresses, line = [], 0
    for plane, lines, used in zip(frame.planes, packing.lines, packing.pitches, strict=True):
        source = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:lines, :used]
        buffer.reshape(-1, pitch)[line : line + lines, :used] = source
        addresses.append(buffer.ctypes.data + line * pitch)
        line += lines
    surface = packed_surface(layout, width, height, addresses, buffer.nbytes)
    surface = replace(surface, layout=replace(layout, chroma_offset=chroma_offset(frame, layout.chroma_shift)))
    assert surface.luma_pitch == pitch
    size = InputSize((64, 36), (64, 36))
    found = pictured(host_backend, surface, yuv_to_rgb_matrix(6, False, bits), size)
    expected = Shrinker(size.content)(frame).transpose(2, 0, 1)
    assert np.abs(found - expected).mean() < SHRUNK_TOLERANCE


def test_surfaces_that_the_library_describes_wrongly() -> None:
    """As in 2.2.4: an odd height without the last half line of chroma, and 16-bit 4:4:4 planes addressed as if they had 8 bits."""
    surface = packed_surface(surface_layout("NV12", 8), 320, 181, [4096, 4096 + 320 * 181], 320 * 181 * 3 // 2)
    assert (surface.luma_pitch, surface.planes) == (320, (4096, 4096 + 320 * 181))
    samples = 320 * 180
    surface = packed_surface(surface_layout("YUV444_16Bit", 10), 320, 180, [4096, 4096 + samples, 4096 + 2 * samples], 6 * samples)
    assert (surface.luma_pitch, surface.planes) == (640, (4096, 4096 + 2 * samples, 4096 + 4 * samples))


def test_inconsistent_surfaces_are_refused() -> None:
    layout = surface_layout("NV12", 8)
    with pytest.raises(ValueError, match="bytes for"):
        packed_surface(layout, 320, 180, [4096, 4096 + 320 * 180], 320 * 270 + 1)
    with pytest.raises(ValueError, match="planes at"):
        packed_surface(layout, 320, 180, [4096, 4096 + 320 * 184], 320 * 270)
    with pytest.raises(ValueError, match="pitch"):
        packed_surface(surface_layout("P016", 10), 320, 180, [4096, 4096 + 320 * 180], 320 * 270)
    with pytest.raises(ValueError, match="RGB"):
        surface_layout("RGB", 8)


def test_kernel_arguments_have_the_declared_width() -> None:
    """In eight bytes each, at the beginning; in the order of bytes of this machine."""
    for kinds in kernel_arguments().values():
        for kind in kinds:
            packed = struct.pack(f"={FORMATS[kind]}", 1)
            assert len(packed) == 8
            assert np.frombuffer(packed, "uint64" if kind == "pointer" else kind)[0] == 1
    array = np.zeros(3, np.float32)
    assert [address_of(value) for value in (None, 2**63, array)] == [0, 2**63, array.ctypes.data]


def test_cuda_libraries_are_found_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime may be installed in another folder than the wheels that it needs."""
    expected = []
    for name, part in (("a", "cu13"), ("b", "cudnn")):
        folder = tmp_path / name / "nvidia" / part / "lib"
        folder.mkdir(parents=True)
        monkeypatch.syspath_prepend(str(tmp_path / name))
        expected.append(str(folder))
    assert set(expected) <= set(library_folders())


def test_changes_of_ranges_are_those_of_the_whole(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", seconds=2)
    lattices = [luma_lattice(frame) for frame in decode_frames(probe_clip(path), DecodeTally())]
    changes = [0.0] + [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(lattices)]
    parts = []
    for first, end in [(0, 20), (20, 21), (21, 48)]:
        own = np.array([0.0, *changes[first + 1 : end]], np.float32)
        # Two chunks; the last is longer than its content.
        parts.append(
            (end - first, [lattices[first], lattices[end - 1], own[:5], np.concatenate((own[5:], [9, 9])).astype(np.float32)])
        )
    np.testing.assert_array_equal(join_changes(parts), np.array(changes, np.float32))


def index_of(frames: int) -> FrameIndex:
    return FrameIndex(np.arange(frames), np.arange(0, frames, 10))


def test_sampled_frames() -> None:
    sampling = Sampling(Fraction(6))
    assert list(itertools.islice(sampled_frames(sampling, 0, index_of(30)), 3)) == [3, 9, 15]
    assert next(sampled_frames(sampling, 10, index_of(30))) == 15
    # A clip too short for a sample gives its last frame, as on the CPU.
    assert list(itertools.islice(sampled_frames(sampling, 0, index_of(3)), 2)) == [2, 3]


@pytest.mark.parametrize("outputs", [("saliency_map",), ("saliency_map", "gaze_map"), ("gaze_map", "saliency_map")])
def test_the_outputs_are_bound_by_name(tmp_path: Path, outputs: tuple[str, ...]) -> None:
    """As `CudaSession.bind` does, here with host memory and the CPU's provider: each map arrives at its own address."""
    path = save_model(tmp_path / "model.onnx", outputs=outputs, gaze=0.25)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    contract = ModelContract.read(path, session)
    pixels = np.random.default_rng(1).standard_normal((2, 3, 32, 64)).astype(np.float32)
    maps = [np.full((2, 32, 64), np.nan, np.float32) for _ in contract.output_names]
    binding = session.io_binding()
    binding.bind_input(contract.input_name, "cpu", 0, np.float32, pixels.shape, pixels.ctypes.data)
    for name, one in zip(contract.output_names, maps, strict=True):
        binding.bind_output(name, "cpu", 0, np.float32, (2, 1, 32, 64), one.ctypes.data)
    session.run_with_iobinding(binding)
    (expected,) = session.run(["saliency_map"], {contract.input_name: pixels})
    np.testing.assert_array_equal(maps[0], expected[:, 0])
    assert len(maps) == len(outputs)
    for gaze in maps[1:]:
        np.testing.assert_array_equal(gaze, expected[:, 0] * np.float32(0.25))


@pytest.mark.parametrize(
    ("settings", "frames", "decoders", "ranges"),
    [
        (GpuSettings(), 100_000, {0: 1}, 1),
        (GpuSettings(decoders="3"), 100, {0: 3}, 3),
        (GpuSettings(decoders="3"), 1200, {0: 3}, 14),
        (GpuSettings(decoders="3"), 100_000, {0: 3}, 38),
        (GpuSettings(decoders="auto"), 100, {0: 1}, 1),
        (GpuSettings(decoders="auto"), 600, {0: 2}, 8),
        (GpuSettings(decoders="auto"), 100_000, {0: 3}, 38),
        (GpuSettings((0, 1), decoders="auto"), 100_000, {0: 3, 1: 3}, 71),
        (GpuSettings((0, 1)), 100_000, {0: 1, 1: 1}, 26),
        (GpuSettings(decoders="3"), 2, {0: 3}, 2),
    ],
)
def test_more_ranges_than_decoders(settings: GpuSettings, frames: int, decoders: dict[int, int], ranges: int) -> None:
    """The first ranges are the longest; the last ones are so short that the decoders end at nearly the same time."""
    index = FrameIndex(np.arange(frames), np.arange(0, frames, 24))
    assert decoder_counts(index, settings, MACHINE) == decoders
    assert decoder_counts(None, settings, MACHINE) == {0: 1}
    count = sum(decoders.values())
    starts = range_starts(frames, count)
    lengths = np.diff([0, *starts, frames])
    assert len(lengths) == ranges
    assert (lengths > 0).all()
    assert count == 1 or lengths.max() <= -(-frames // count)
    assert (np.diff(lengths[:-1]) <= 1).all()
    assert ranges <= count or lengths[-1] <= 72
