"""Matrices, ranges and chroma siting of the CUDA kernels against libswscale, which makes the CPU's pictures."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from kernel_backends import Array, Backend, Guarded, lay_out
from kernel_twins import shrunk_rgb
from lavfi import SUBJECT, encode_lavfi
from map_distance import assert_close_maps

from gpu_saliency.analysis.cuda.decode.colour import yuv_to_rgb_matrix
from gpu_saliency.analysis.cuda.decode.siting import chroma_offset
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.source.colour import is_full_range, resolve_colorspace
from gpu_saliency.source.shrink import Shrinker

MOST_CODES, MEAN_CODES = 1, 0.1
"""Difference from swscale in codes. It keeps 15 bits between its passes, so values near a rounding limit may round to the next
code."""
FORMATS = (
    *("nv12", "nv16", "nv24", "p010le", "p016le", "yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuv411p", "yuv420p10le"),
    *("yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p16le", "yuvj420p", "gray", "gray10le"),
)


def sample_values(frame: av.VideoFrame, layout: SampleLayout) -> list[Array]:
    """Luma, Cb and Cr of a frame as sample values."""
    kind: type[np.generic] = np.uint8 if layout.sample_bytes == 1 else np.uint16
    chroma_w, chroma_h = layout.chroma_size(frame.width, frame.height)
    lines = [
        np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // layout.sample_bytes) >> layout.sample_shift
        for plane in frame.planes
    ]
    values = [lines[0][: frame.height, : frame.width]]
    if layout.chroma_planes == 1:
        return values + [lines[1][:chroma_h, i : 2 * chroma_w : 2] for i in range(2)]
    return values + [plane[:chroma_h, :chroma_w] for plane in lines[1:]]


def layout_of(frame: av.VideoFrame) -> SampleLayout:
    layout = SampleLayout.of(frame.format.name)
    assert layout is not None
    return replace(layout, chroma_offset=chroma_offset(frame, layout.chroma_shift))


def compare(frame: av.VideoFrame, size: tuple[int, int], *, skip_lines: int = 0) -> None:
    """Compare the kernel's numpy twin on the samples of ``frame`` with the CPU's picture, except ``skip_lines`` at the top."""
    layout, name = layout_of(frame), frame.format.name
    colorspace = resolve_colorspace(int(frame.colorspace), frame.height)
    is_full = is_full_range(int(frame.color_range), name)
    to_rgb = yuv_to_rgb_matrix(colorspace, is_full, layout.bits, has_chroma=layout.chroma_planes > 0)
    twin = np.rint(shrunk_rgb(sample_values(frame, layout), layout, to_rgb, size))
    apart = np.abs(twin - Shrinker(size)(frame))[skip_lines:]
    assert apart.max() <= MOST_CODES
    assert apart.mean() <= MEAN_CODES


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264, with left chroma siting: flat colours, gradients and sharp edges; sides that are not multiples of four."""
    path = tmp_path_factory.mktemp("colour") / "frame.mp4"
    subject = SUBJECT.format(w=340, h=220, width=322, height=202, rate=25, seconds=0.2)
    return encode_lavfi(path, subject, qp=10)


@pytest.fixture
def decoded(clip: Path) -> av.VideoFrame:
    """The first frame of ``clip``, decoded for each test: a reformat to the same format returns the frame itself, not a copy."""
    with av.open(str(clip)) as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(("color_range", "size"), [(ColorRange.MPEG, (96, 64)), (ColorRange.JPEG, (97, 51))])
def test_pictures_equal_the_cpus(decoded: av.VideoFrame, pix_fmt: str, color_range: ColorRange, size: tuple[int, int]) -> None:
    frame = decoded.reformat(format=pix_fmt)
    frame.color_range = color_range
    compare(frame, size)


@pytest.mark.parametrize("size", [(400, 256), (400, 64), (96, 300)])
def test_enlarged_pictures_equal_the_cpus(decoded: av.VideoFrame, size: tuple[int, int]) -> None:
    compare(decoded, size)


@pytest.mark.parametrize("pix_fmt", ["nv12", "p010le"])
def test_maps_equal_the_cpus(backend: Backend, decoded: av.VideoFrame, pix_fmt: str) -> None:
    """Pictures that differ by one code in places give maps within the limits of `assert_close_maps`."""
    frame = decoded.reformat(format=pix_fmt)
    layout, model = layout_of(frame), SaliencyModel(DEFAULT_MODEL)
    size = model.input_size(frame.width / frame.height)
    to_rgb = yuv_to_rgb_matrix(resolve_colorspace(int(frame.colorspace), frame.height), False, layout.bits)
    surface, _memory = lay_out(backend, layout, sample_values(frame, layout), np.random.default_rng(6))
    model_input = Guarded(backend, (3, *size.padded[::-1]), np.float32)
    luma = Guarded(backend, size.content[::-1], np.float32)
    backend.kernels.picture_to_input(surface, size, 0, backend.put(to_rgb), model_input.array, luma.array)
    expected = model(normalise(Shrinker(size.content)(frame)[None], size.padded)).saliency
    assert_close_maps(model(model_input.get()[None]).saliency, expected)


@pytest.mark.parametrize("colorspace", [0, 1, 2, 4, 5, 6, 7, 8, 9, 10])
@pytest.mark.parametrize("height", [202, 722])
def test_matrix_of_each_tag(decoded: av.VideoFrame, colorspace: int, height: int) -> None:
    frame = decoded.reformat(width=64, height=height, format="yuv444p")
    frame.colorspace = colorspace
    compare(frame, (64, height))


def test_matrix_of_known_colours() -> None:
    """Black, white and mid grey of both ranges, and BT.709's red by the factors of the standard."""
    for bits, is_full in itertools.product((8, 10, 12, 16), (False, True)):
        matrix = yuv_to_rgb_matrix(1, is_full, bits).reshape(3, 4)
        unit = 2 ** (bits - 8)
        black, white = (0, 255 * unit) if is_full else (16 * unit, 235 * unit)
        for luma, code in ((black, 0), (white, 255), ((black + white) / 2, 127.5)):
            np.testing.assert_allclose(matrix @ [luma, 128 * unit, 128 * unit, 1], code, atol=1e-3)
    red = yuv_to_rgb_matrix(1, False, 8).reshape(3, 4) @ [16 + 219 * 0.2126, 128 - 224 * 0.2126 / 1.8556, 240, 1]
    np.testing.assert_allclose(red, (255, 0, 0), atol=1e-3)


@pytest.mark.parametrize(
    ("location", "offset"), [("left", (2, 0)), ("center", (0, 0)), ("topleft", (2, 2)), ("top", (0, 2)), ("bottomleft", (2, -2))]
)
def test_chroma_siting_follows_the_file(tmp_path: Path, location: str, offset: tuple[int, int]) -> None:
    path = tmp_path / "clip.mp4"
    subject = SUBJECT.format(w=150, h=110, width=130, height=98, rate=25, seconds=0.1)
    encode_lavfi(path, subject, chroma_sample_location=location)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert chroma_offset(frame, (1, 1)) == offset
    # In the top line swscale weights bottom-sited samples differently.
    compare(frame, (48, 32), skip_lines=1 if location.startswith("bottom") else 0)


def test_chroma_without_a_location_is_centred() -> None:
    """Also for a frame as small as the ramps of the probe, which must stay unchanged."""
    frame = av.VideoFrame(64, 64, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    assert chroma_offset(frame, (1, 1)) == (0, 0)
    assert not any(bytes(frame.planes[1]))
    assert chroma_offset(frame, (0, 0)) == (0, 0)


@pytest.mark.parametrize("pix_fmt", ["rgb24", "gbrp", "yuyv422", "yuva420p", "yuv420p10be", "p010be", "nv21", "yuv999p", "cuda"])
def test_unsupported_layouts(pix_fmt: str) -> None:
    assert SampleLayout.of(pix_fmt) is None


def test_layouts() -> None:
    assert SampleLayout.of("p010le") == SampleLayout(10, 2, 6, 1, (1, 1))
    assert SampleLayout.of("yuv420p10le") == SampleLayout(10, 2, 0, 2, (1, 1))
    assert SampleLayout.of("yuv444p12msble") == SampleLayout(12, 2, 4, 2, (0, 0))
    assert SampleLayout.of("gray") == SampleLayout(8, 1, 0, 0)
    for pix_fmt in FORMATS:
        layout, known = SampleLayout.of(pix_fmt), av.VideoFormat(pix_fmt)
        assert layout is not None
        assert layout.bits == known.components[0].bits
        if layout.chroma_planes:
            assert layout.chroma_size(101, 67) == (known.chroma_width(101), known.chroma_height(67))


def test_invalid_surfaces_are_refused() -> None:
    layout = SampleLayout(10, 2, 6, 1, (1, 1))
    good = {"layout": layout, "width": 101, "height": 67, "planes": (512, 1024), "luma_pitch": 202, "chroma_pitch": 204}
    Surface(**good)  # type: ignore[arg-type]
    wrong = ({"luma_pitch": 200}, {"chroma_pitch": 202}, {"planes": (512,)}, {"planes": (512, 0)}, {"planes": (511, 1024)})
    for change in (*wrong, {"width": 0}, {"width": 20000}, {"luma_pitch": 203}):
        with pytest.raises(ValueError, match=r"pitch|planes|layout|fit|x67"):
            Surface(**(good | change))  # type: ignore[arg-type]
