"""The arithmetic of the CUDA kernels against numpy: the same text by g++ on the host, and by NVRTC where there is a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from kernel_backends import Array, Backend, Guarded, lay_out, sample_planes
from kernel_twins import shrunk_rgb
from numpy.typing import NDArray

from gpu_saliency.analysis.activity import activity_map
from gpu_saliency.analysis.cuda.decode.colour import yuv_to_rgb_matrix
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout
from gpu_saliency.analysis.cuda.kernels.checked import AGGREGATOR_MODES, lattice_shape
from gpu_saliency.analysis.reduce import motion_within_scenes, reduce_activity, reduce_gaze, reduce_saliency
from gpu_saliency.analysis.track import (
    SaliencyTrack,
    decode_activity,
    decode_gaze,
    decode_saliency,
    encode_activity,
    encode_gaze,
    encode_saliency,
)
from gpu_saliency.grid import block_mean, grid_shape
from gpu_saliency.model.contract import IMAGENET_MEAN, IMAGENET_STD, InputSize
from gpu_saliency.model.onnx import normalise
from gpu_saliency.source.orientation import Orientation
from gpu_saliency.source.scenes import lattice_axis

COLOUR_TOLERANCE = 3e-4
"""Codes of 0..255. The kernel's sums are exact; about ten float32 roundings of numbers up to 600 (ulp 6e-5) remain."""
EDGE = 1e-4
"""Codes. Within this distance of the boundary of two codes, float32 and float64 may round to different codes."""
ULPS = 2e-6
"""Relative. A few float32 roundings; sums of some hundred terms in another order than numpy's."""

LUMA = np.array([0.2126, 0.7152, 0.0722]) / 255
"""BT.709 weights, on codes."""

FORMATS = (
    *("nv12", "nv16", "nv24", "p010le", "p012le", "p016le", "p210le", "p416le"),
    *("yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuv411p", "yuv420p10le", "yuv422p12le", "yuv420p9le", "yuv444p16le"),
    *("yuv444p10msble", "gray", "gray10le", "gray16le"),
)
# (source, content, padded): shrunk by a whole number, odd sizes, enlarged in one axis, in both, one pixel.
PICTURES = (
    ((96, 64), (32, 24), (32, 32)),
    ((101, 67), (33, 21), (40, 24)),
    ((90, 11), (30, 16), (32, 16)),
    ((21, 13), (32, 24), (32, 32)),
    ((1, 1), (2, 3), (4, 4)),
)
# (frame, map): the map coarser than blocks, finer than blocks, finer than pixels, a frame smaller than a block, a column.
GRIDS = (((161, 97), (7, 5)), ((320, 180), (48, 27)), ((40, 24), (64, 32)), ((15, 9), (9, 15)), ((3, 200), (1, 33)))


ORIENTATIONS = tuple(Orientation(turns, mirrored) for mirrored in (False, True) for turns in range(4))


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(("source", "content", "padded"), PICTURES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_picture(
    backend: Backend,
    pix_fmt: str,
    source: tuple[int, int],
    content: tuple[int, int],
    padded: tuple[int, int],
    orientation: Orientation,
) -> None:
    rng = np.random.default_rng(len(pix_fmt) + orientation.code)
    plain = SampleLayout.of(pix_fmt)
    assert plain is not None
    # One chroma siting per turn: centred on its luma samples, on the left ones, on the top left one, below.
    siting = ((0, 0), (2, 0), (2, 2), (0, -3))[orientation.turns]
    offset = (siting[0] if plain.chroma_shift[0] else 0, siting[1] if plain.chroma_shift[1] else 0)
    layout = replace(plain, chroma_offset=offset)
    planes = sample_planes(layout, source, rng)
    to_rgb = yuv_to_rgb_matrix(1, orientation.turns % 2 == 0, layout.bits, has_chroma=layout.chroma_planes > 0)
    surface, _memory = lay_out(backend, layout, planes, rng)
    shrunk = content if orientation.turns % 2 == 0 else content[::-1]
    expected = orientation.upright(shrunk_rgb(planes, layout, to_rgb, shrunk))
    for whole_codes in (False, True):
        model_input = Guarded(backend, (3, *padded[::-1]), np.float32)
        luma = Guarded(backend, content[::-1], np.float32)
        size = InputSize(content, padded)
        backend.kernels.picture_to_input(
            surface, size, orientation.code, backend.put(to_rgb), model_input.array, luma.array, whole_codes=whole_codes
        )
        pixels, luma_found = model_input.get(), luma.get()
        codes = (np.moveaxis(pixels, 0, -1).astype(np.float64) * IMAGENET_STD + IMAGENET_MEAN) * 255
        found = codes[: content[1], : content[0]]
        if whole_codes:
            rgb = np.rint(found).astype(np.uint8)
            assert_codes(rgb, expected, COLOUR_TOLERANCE)
            np.testing.assert_array_equal(pixels, normalise(rgb[None], padded)[0])
            np.testing.assert_allclose(luma_found, rgb @ LUMA, atol=ULPS)
        else:
            np.testing.assert_allclose(found, expected, atol=COLOUR_TOLERANCE)
            np.testing.assert_allclose(luma_found, expected @ LUMA, atol=ULPS)
        repeated = np.pad(found, ((0, padded[1] - content[1]), (0, padded[0] - content[0]), (0, 0)), mode="edge")
        np.testing.assert_array_equal(codes, repeated)


def assert_codes(found: Array, exact: NDArray[np.floating], edge: float) -> None:
    """Assert that ``found`` is ``exact`` rounded; within ``edge`` of the boundary of two codes either is right."""
    near = np.abs(exact - np.floor(exact) - 0.5) <= edge
    wrong = (found != np.rint(exact)) & ~(near & (np.abs(found - exact) < 0.5 + 2 * edge))
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size}, such as {found[wrong][:5]} for {exact[wrong][:5]}"


@pytest.mark.parametrize("source", [(16384, 2), (2, 16384)], ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("content", [(1, 1), (3, 1), (1, 4096), (4096, 1)], ids=lambda size: "x".join(map(str, size)))
def test_the_largest_sums_fit(backend: Backend, source: tuple[int, int], content: tuple[int, int]) -> None:
    """White of 16 bits at the largest width and height of a clip, with weights in eighths."""
    layout = SampleLayout(16, 2, 0, 2, (1, 1), chroma_offset=(2, 2))
    planes = [np.full(size[::-1], 65535, np.uint16) for size in (source, *2 * [layout.chroma_size(*source)])]
    surface, _memory = lay_out(backend, layout, planes, np.random.default_rng(0))
    model_input, luma = Guarded(backend, (3, *content[::-1]), np.float32), Guarded(backend, content[::-1], np.float32)
    to_rgb = backend.put((np.eye(4)[:3] * 200 / 65535).astype(np.float32).reshape(12))
    size = InputSize(content, content)
    backend.kernels.picture_to_input(surface, size, 0, to_rgb, model_input.array, luma.array, whole_codes=False)
    codes = (np.moveaxis(model_input.get(), 0, -1) * IMAGENET_STD + IMAGENET_MEAN) * 255
    np.testing.assert_allclose(codes, 200, atol=COLOUR_TOLERANCE)


def test_wrong_arguments_are_refused(backend: Backend) -> None:
    """Before a launch: shape, type, order of the axes, orientation, and a model input too large for the sums."""
    kernels, luma = backend.kernels, np.zeros((2, 6, 8), np.float32)
    good, out = backend.put(luma), backend.put(np.zeros((2, 3, 4), np.uint8))
    maps, breach = backend.put(luma), backend.put(np.zeros(1, np.int32))
    kernels.activity_blocks(good, None, 0, (64, 48), out)
    for wrong, orientation, target in (
        (backend.put(luma.astype(np.float64)), 0, out),
        (good[:, :, ::-1], 0, out),
        (good, 8, out),
        (good, 0, out[:1]),
        (good[:0], 0, out[:0]),
    ):
        with pytest.raises(ValueError, match=r"luma is|out is|orientation"):
            kernels.activity_blocks(wrong, None, orientation, (64, 48), target)
    for odd in (InputSize((8, 6), (8, 7)), InputSize((9, 6), (8, 6)), InputSize((8, 6), (5000, 6)), InputSize((0, 6), (8, 6))):
        with pytest.raises(ValueError, match=r"maps is|model input"):
            kernels.saliency_blocks(maps, odd, 0, (64, 48), 1e-3, breach, out)
    starts, reduced = backend.put(np.array([0, 2], np.int32)), backend.put(np.zeros((1, 3, 4), np.float32))
    with pytest.raises(ValueError, match="motion is"):
        kernels.reduce_saliency(out, backend.put(np.zeros(256, np.float32)), breach, starts, "mean", 0.6, reduced)
    with pytest.raises(ValueError, match="decoded is"):
        kernels.reduce_saliency(out, good, breach, starts, "mean", 0.6, reduced)


@pytest.mark.parametrize("pix_fmt", ["nv12", "p010le", "yuv420p10le", "gray16le"])
@pytest.mark.parametrize("size", [(640, 360), (101, 67), (95, 96), (1, 1)])
def test_scene_change(backend: Backend, pix_fmt: str, size: tuple[int, int]) -> None:
    """Three frames: the first has no predecessor, and each other one is compared with the lattice of the frame before."""
    rng = np.random.default_rng(3)
    layout = SampleLayout.of(pix_fmt)
    assert layout is not None
    lattice = Guarded(backend, lattice_shape(*size), np.float32)
    (step_x, _), (step_y, _) = (lattice_axis(side) for side in size)
    before = None
    for _ in range(3):
        planes = sample_planes(layout, size, rng)
        surface, _memory = lay_out(backend, layout, planes, rng)
        change = Guarded(backend, (1,), np.float32)
        backend.kernels.scene_change(surface, before is not None, lattice.array, change.array)
        now = planes[0][::step_y, ::step_x].astype(np.float32) / np.float32(2**layout.bits - 1)
        np.testing.assert_array_equal(lattice.get(), now)
        expected = 0.0 if before is None else np.abs(now.astype(np.float64) - before).mean()
        np.testing.assert_allclose(change.get(), [expected], rtol=ULPS)
        before = now


def turned_maps(maps: Array, size: InputSize, orientation: Orientation) -> Array:
    """Upright, padded ``[n, H, W]`` in the coded orientation, without the padding."""
    return orientation.coded(maps[:, : size.content[1], : size.content[0]], (1, 2))


@pytest.mark.parametrize(("frame", "shape"), GRIDS, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
@pytest.mark.parametrize(("padding", "square_root"), [(0, False), (5, False), (5, True)])
def test_saliency_blocks(
    backend: Backend, frame: tuple[int, int], shape: tuple[int, int], orientation: Orientation, padding: int, square_root: bool
) -> None:
    """``shape`` is that of the map in the coded orientation. The padding is NaN, so that reading it would show."""
    content = shape if orientation.turns % 2 == 0 else shape[::-1]
    size = InputSize(content, (content[0] + padding, content[1] + padding))
    maps = np.full((3, *size.padded[::-1]), np.nan, np.float32)
    inside = np.random.default_rng(orientation.code).random((3, content[1], content[0])).astype(np.float32) ** 2
    inside[0, 0, 0], inside[1, -1, -1] = -5e-4, 1 + 5e-4  # within the contract's tolerance, and clipped
    maps[:, : content[1], : content[0]] = inside
    breach, out = backend.put(np.zeros(1, np.int32)), Guarded(backend, (3, *grid_shape(*frame)), np.uint8)
    backend.kernels.saliency_blocks(
        backend.put(maps), size, orientation.code, frame, 1e-3, breach, out.array, square_root=square_root
    )
    exact = block_mean(turned_maps(np.clip(maps, 0, 1), size, orientation), *frame)
    encode = encode_gaze if square_root else encode_saliency
    for codes in (encode(exact), out.get()):
        assert_codes(codes, exact.astype(np.float64) ** (0.5 if square_root else 1) * 255, EDGE)
    assert backend.get(breach)[0] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -2e-3, 1.002])
def test_saliency_blocks_flag_a_map_that_breaks_the_contract(backend: Backend, value: float) -> None:
    maps = np.full((2, 6, 8), 0.5, np.float32)
    maps[1, 5, 7] = value
    breach, out = backend.put(np.zeros(1, np.int32)), Guarded(backend, (2, 3, 4), np.uint8)
    backend.kernels.saliency_blocks(backend.put(maps), InputSize((8, 6), (8, 6)), 0, (64, 48), 1e-3, breach, out.array)
    assert backend.get(breach)[0] == 1


@pytest.mark.parametrize(("frame", "shape"), GRIDS, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
@pytest.mark.parametrize("is_first", [True, False])
def test_activity_blocks(
    backend: Backend, frame: tuple[int, int], shape: tuple[int, int], orientation: Orientation, is_first: bool
) -> None:
    content = shape if orientation.turns % 2 == 0 else shape[::-1]
    rng = np.random.default_rng(orientation.code)
    # From flat, where the floor of activity applies, to noisy: nearly all codes.
    strength = np.geomspace(1e-4, 1, content[0])
    luma = np.clip(0.5 + strength * rng.uniform(-0.5, 0.5, (4, content[1], content[0])), 0, 1).astype(np.float32)
    previous, batch = (None, luma) if is_first else (luma[0], luma[1:])
    out = Guarded(backend, (len(batch), *grid_shape(*frame)), np.uint8)
    before = None if previous is None else backend.put(previous)
    backend.kernels.activity_blocks(backend.put(batch), before, orientation.code, frame, out.array)
    found = out.get()
    for i, one in enumerate(batch):
        upright = activity_map(one, batch[i - 1] if i else previous)
        exact = block_mean(turned_maps(upright[None], InputSize(content, content), orientation), *frame)[0]
        for codes in (encode_activity(exact), found[i]):
            assert_codes(codes, 24 * np.log2(np.maximum(exact.astype(np.float64) * 255, 1)), EDGE)


@pytest.mark.parametrize("shape", [(27, 48), (1, 1), (144, 256), (17, 31)])
@pytest.mark.parametrize("is_first", [True, False])
def test_luma_motion(backend: Backend, shape: tuple[int, int], is_first: bool) -> None:
    luma = np.random.default_rng(4).random((4, *shape)).astype(np.float32)
    previous, batch = (None, luma) if is_first else (luma[0], luma[1:])
    out = Guarded(backend, (len(batch),), np.float32)
    backend.kernels.luma_motion(backend.put(batch), None if previous is None else backend.put(previous), out.array)
    changes = np.abs(np.diff(luma.astype(np.float64), axis=0)).mean(axis=(1, 2))
    np.testing.assert_allclose(out.get(), [0, *changes] if is_first else changes, rtol=ULPS)


def made_track(samples: int, cuts: Sequence[int], seed: int) -> SaliencyTrack:
    """A track with a sample every fourth frame, some without motion."""
    rng = np.random.default_rng(seed)
    motion = (rng.random(samples) * rng.integers(0, 2, samples) * 0.1).astype(np.float32)
    motion[0] = 0
    return SaliencyTrack(
        saliency=rng.integers(0, 256, (samples, 5, 7), np.uint8),
        activity=rng.integers(0, 256, (samples, 5, 7), np.uint8),
        sample_frame=np.arange(samples, dtype=np.int64) * 4,
        motion=motion,
        frame_count=samples * 4,
        cuts=tuple(cuts),
        gaze=rng.integers(0, 256, (samples, 5, 7), np.uint8),
    )


# (samples, cuts, first samples of the segments): one sample; one segment; segments of one sample, of one scene, with a cut inside.
TRACKS = ((1, (), (0,)), (40, (), (0,)), (24, (9, 12, 61), (0, 1, 3, 4, 12, 16)), (300, (7, 400), (0, 150)))


@pytest.mark.parametrize(("samples", "cuts", "starts"), TRACKS)
@pytest.mark.parametrize(("aggregator", "alpha"), [*itertools.product(AGGREGATOR_MODES, [0.6]), ("ema", 1.0), ("ema", 0.05)])
@pytest.mark.parametrize("name", ["saliency", "gaze"])
def test_reduce_maps(
    backend: Backend, samples: int, cuts: Sequence[int], starts: Sequence[int], aggregator: str, alpha: float, name: str
) -> None:
    track = made_track(samples, cuts, samples)
    decode, reduce = (decode_gaze, reduce_gaze) if name == "gaze" else (decode_saliency, reduce_saliency)
    expected = reduce(track, np.array(starts), aggregator, alpha)
    out = Guarded(backend, expected.shape, np.float32)
    motion, ends = backend.put(motion_within_scenes(track)), backend.put(np.array([*starts, samples], np.int32))
    decoded = backend.put(decode(np.arange(256, dtype=np.uint8)))
    backend.kernels.reduce_saliency(backend.put(getattr(track, name)), decoded, motion, ends, aggregator, alpha, out.array)
    np.testing.assert_array_equal(out.get(), expected)


@pytest.mark.parametrize(("samples", "cuts", "starts"), TRACKS)
def test_reduce_activity(backend: Backend, samples: int, cuts: Sequence[int], starts: Sequence[int]) -> None:
    track = made_track(samples, cuts, samples)
    expected = reduce_activity(track, np.array(starts))
    out = Guarded(backend, expected.shape, np.float32)
    counts, ends = backend.put((~track.after_cut()).astype(np.uint8)), backend.put(np.array([*starts, samples], np.int32))
    decoded = backend.put(decode_activity(np.arange(256, dtype=np.uint8)))
    backend.kernels.reduce_activity(backend.put(track.activity), counts, ends, decoded, out.array)
    np.testing.assert_array_equal(out.get(), expected)
