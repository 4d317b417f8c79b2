"""Given maps: boxes and their drawing, arrays of any origin, the frames that file names state, shapes."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_saliency.draw.canvas import png_bytes
from gpu_saliency.errors import MapsError, SourceMissingError
from gpu_saliency.grid import block_mean
from gpu_saliency.maps.boxes import Box, box_profile, parse_boxes
from gpu_saliency.maps.fit import fit_blocks, has_shape_of
from gpu_saliency.maps.given import GivenMaps
from gpu_saliency.maps.read import hash_maps, read_maps
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import NearestFrames, Sampling

CLIP = Clip(Path("clip.mkv"), 32, 16, "yuv420p", Fraction(24), 10)


def grey(path: Path, value: int = 255) -> Path:
    path.write_bytes(png_bytes(np.full((16, 32), value, np.uint8)))
    return path


def boxes(path: Path, facts: object) -> Path:
    path.write_text(json.dumps(facts))
    return path


def drawn(path: Path, frames: int = 1, clip: Clip = CLIP) -> list[Any]:
    given = read_maps("maps", path)
    stream = given.read(clip)
    return [next(stream)()["saliency"] for _ in range(frames)]


def test_a_box_is_drawn_with_its_weight(tmp_path: Path) -> None:
    """2.5 pixels wide: half of its last column."""
    one = drawn(boxes(tmp_path / "b.json", [{"x": 4, "y": 2, "w": 2.5, "h": 3, "weight": 0.5, "label": "face"}]))[0]
    expected = np.zeros((16, 32), np.float32)
    expected[2:5, 4:6], expected[2:5, 6] = 0.5, 0.25
    np.testing.assert_allclose(one, expected)


def test_boxes_that_overlap_take_the_greater_weight(tmp_path: Path) -> None:
    both = [{"x": 0, "y": 0, "w": 8, "h": 8, "weight": 0.5}, {"x": 4, "y": 0, "w": 8, "h": 8, "weight": 0.75}]
    one = drawn(boxes(tmp_path / "b.json", both))[0]
    assert (one[0, 3], one[0, 4], one[0, 11], one[0, 12]) == (0.5, 0.75, 0.75, 0)


def test_fractions_and_another_size_are_of_the_same_picture(tmp_path: Path) -> None:
    box = {"x": 0.25, "y": 0.5, "w": 0.25, "h": 0.25}
    one = drawn(boxes(tmp_path / "a.json", {"unit": "fractions", "boxes": [box]}))[0]
    large = {"x": 160, "y": 160, "w": 160, "h": 80}
    other = drawn(boxes(tmp_path / "b.json", {"width": 640, "height": 320, "boxes": [large]}))[0]
    np.testing.assert_allclose(one, other)
    assert (one.sum(), one[8:12, 8:16].min()) == (32, 1)


def test_boxes_span_frames_and_end(tmp_path: Path) -> None:
    """Frames without a box are empty; a box without start and end is in every frame."""
    spans = [{"start": 1, "end": 3, "x": 0, "y": 0, "w": 8, "h": 8}, {"start": 4, "x": 8, "y": 0, "w": 8, "h": 8}]
    maps = drawn(boxes(tmp_path / "b.json", spans), 6)
    assert [(one[0, 0], one[0, 8]) for one in maps] == [(0, 0), (1, 0), (1, 0), (0, 0), (0, 1), (0, 1)]
    assert all(one.sum() == 64 for one in drawn(boxes(tmp_path / "all.json", [{"x": 0, "y": 0, "w": 8, "h": 8}]), 3))


def test_boxes_of_frames_state_what_was_examined(tmp_path: Path) -> None:
    listed = {"frames": [0, 3, 6], "boxes": [{"frame": 6, "x": 0, "y": 0, "w": 8, "h": 8}]}
    path = boxes(tmp_path / "b.json", listed)
    assert read_maps("maps", path).numbers == (0, 3, 6)
    assert [one.sum() for one in drawn(path, 3)] == [0, 0, 64]
    unlisted = [{"frame": 3}, {"frame": 6, "x": 0, "y": 0, "w": 8, "h": 8}]
    assert parse_boxes(unlisted).frames == (3, 6)


def test_boxes_lie_on_the_upright_picture(tmp_path: Path) -> None:
    turned = Clip(Path("c.mkv"), 32, 16, "yuv420p", Fraction(24), 10, rotation=90)
    path = boxes(tmp_path / "b.json", [{"x": 0, "y": 24, "w": 16, "h": 8}])
    given = read_maps("maps", path)
    layer = next(given.read(turned))()["saliency"]
    assert layer.shape == (32, 16)
    # Turned to the left by a quarter, the right edge of the coded picture is the upper edge of the upright one.
    np.testing.assert_allclose(given.blocks(layer, turned), [[0.5, 0]])


def test_a_soft_edge_falls_to_0() -> None:
    profile = box_profile(4, 2, 12, 4)
    np.testing.assert_allclose(profile[4:6], 1)
    assert all(np.diff(profile[:5]) >= 0)
    assert profile[6] == pytest.approx(1 - 0.5 / 4)
    assert profile[10:].max() == 0


BAD_BOXES: dict[str, tuple[object, str]] = {
    "text": ("x", "neither a list of boxes"),
    "no list": ({"boxes": 3}, "neither a list of boxes"),
    "box of text": (["x"], "box 0 is not an object"),
    "no position": ([{"x": 1}], "y of box 0 is 'None'"),
    "position of text": ([{"x": "1", "y": 1, "w": 1, "h": 1}], "x of box 0 is '1', not a number"),
    "position of nan": ([{"x": float("nan"), "y": 1, "w": 1, "h": 1}], "NaN is not JSON"),
    "no area": ([{"x": 1, "y": 1, "w": 0, "h": 1}], "box 0 has no area"),
    "negative width": ([{"x": 1, "y": 1, "w": -5, "h": 1}], "w of box 0 is '-5'"),
    "weight": ([{"x": 1, "y": 1, "w": 1, "h": 1, "weight": 100}], "weight of box 0 is '100', not a number from 0 to 1"),
    "unknown key": ([{"x": 1, "y": 1, "width": 1, "h": 1}], "box 0 has an unknown key 'width'; known are"),
    "unit": ({"unit": "percent", "boxes": []}, "unit is 'percent', not pixels or fractions"),
    "half a size": ({"width": 10, "boxes": []}, "width and height belong together"),
    "frame of text": ([{"frame": "1", "x": 1, "y": 1, "w": 1, "h": 1}], "frame of box 0 is '1', not a frame number"),
    "frame and start": ([{"frame": 1, "start": 1, "x": 1, "y": 1, "w": 1, "h": 1}], "needs neither start nor end"),
    "frame and none": ([{"frame": 1, "x": 1, "y": 1, "w": 1, "h": 1}, {"x": 1, "y": 1, "w": 1, "h": 1}], "some boxes have a frame"),
    "ends early": ([{"start": 5, "end": 5, "x": 1, "y": 1, "w": 1, "h": 1}], "ends with frame 5, before its start 5"),
    "frames unlisted": ({"frames": [1], "boxes": [{"frame": 2, "x": 1, "y": 1, "w": 1, "h": 1}]}, "frames does not list"),
    "frames of spans": ({"frames": [1], "boxes": [{"x": 1, "y": 1, "w": 1, "h": 1}]}, "each box needs a frame"),
}


@pytest.mark.parametrize("name", BAD_BOXES)
def test_bad_boxes(tmp_path: Path, name: str) -> None:
    facts, words = BAD_BOXES[name]
    with pytest.raises(MapsError, match=words.replace("(", r"\(")):
        read_maps("maps", boxes(tmp_path / "b.json", facts))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1' + "0" * 10_000 + "}", "\x00"])
def test_what_is_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(MapsError, match=r"b\.json: is no file of boxes"):
        read_maps("maps", tmp_path / "b.json")


def test_a_box_outside_of_the_picture(tmp_path: Path) -> None:
    path = boxes(tmp_path / "b.json", [{"x": 100, "y": 2, "w": 5, "h": 3}])
    with pytest.raises(MapsError, match="box 0 at 100, 2 lies outside of the picture of 32x16 pixels"):
        drawn(path)
    with pytest.raises(MapsError, match="is for 40x40 pixels, another shape than the 32x16 of"):
        drawn(boxes(tmp_path / "c.json", {"width": 40, "height": 40, "boxes": []}))


def layers(given: GivenMaps, clip: Clip = CLIP) -> list[dict[str, Any]]:
    return [load() for load in given.read(clip)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float16, np.float64, np.bool_, ">u2", "<i8"])
def test_white_is_1_in_every_type_of_array(tmp_path: Path, dtype: Any) -> None:
    kind = np.dtype(dtype)
    white = np.iinfo(kind).max if kind.kind == "u" else 1
    np.savez(tmp_path / "m.npz", saliency=np.full((2, 4, 8), white, kind))
    found = layers(read_maps("maps", tmp_path / "m.npz"))
    assert [float(one["saliency"].min()) for one in found] == [1, 1]


def test_an_npz_names_its_layers_and_frames(tmp_path: Path) -> None:
    maps = np.zeros((3, 4, 8))
    np.savez_compressed(tmp_path / "m.npz", saliency=maps, gaze=maps + 1, frames=np.array([0, 5, 9]), other=np.zeros(7))
    given = read_maps("maps", tmp_path / "m.npz")
    assert (given.names, given.numbers, given.count, given.endless) == (("saliency", "gaze"), (0, 5, 9), 3, False)
    assert [float(one["gaze"].max()) for one in layers(given)] == [1, 1, 1]
    np.savez(tmp_path / "single.npz", anything=maps[:1])
    single = read_maps("maps", tmp_path / "single.npz")
    assert (single.names, single.endless) == (("maps",), True)


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_npy", ".npy").replace("_json", ".json"), data)
    return path


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def test_arrays_of_unknown_origin(tmp_path: Path) -> None:
    """No pickle is loaded, no header allocates memory, nothing that is not maps is taken for them."""
    path = tmp_path / "m.npz"
    objects = io.BytesIO()
    np.save(objects, np.array([{"a": 1}], object), allow_pickle=True)
    huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, %d)}"
    cases: dict[str, dict[str, bytes]] = {
        r"saliency has shape \[1\] of object": {"saliency_npy": objects.getvalue()},
        "saliency has no header of an array": {"saliency_npy": pickle.dumps([1])},
        "which is too large": {"saliency_npy": npy(huge % (1, 100_000, 100_000))},
        r"saliency has shape \[1000000000000, 4, 8\], which is too large": {"saliency_npy": npy(huge % (10**12, 4, 8))},
        r"has shape \[0, 4, 8\]": {"saliency_npy": npy(huge % (0, 4, 8))},
        "in Fortran's order": {"saliency_npy": npy((huge % (1, 4, 8)).replace("False", "True"))},
        "of complex64": {"saliency_npy": npy((huge % (1, 4, 8)).replace("f4", "c8"))},
        "is a sidecar .*give it as sidecar": {"header_json": b"{}", "saliency_npy": b""},
        "holds a, b .*name an array saliency or gaze": {"a_npy": b"", "b_npy": b""},
        "holds nothing": {},
    }
    for words, members in cases.items():
        npz(path, **members)
        with pytest.raises(MapsError, match=words):
            read_maps("maps", path)
    path.write_bytes(b"no zip")
    with pytest.raises(MapsError, match="is no NPZ file"):
        read_maps("maps", path)


def test_an_array_that_ends_too_early(tmp_path: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 8)}"
    npz(tmp_path / "m.npz", saliency_npy=npy(header, bytes(4 * 4 * 8 + 5)))
    given = read_maps("maps", tmp_path / "m.npz")
    with pytest.raises(MapsError, match=r"m\.npz: saliency ends in map 1 of 3"):
        layers(given)


@pytest.mark.parametrize("frames", [[0, 0, 1], [2, 1, 0], [-1, 0, 1], [0, 1], [0.0, 1.0, 2.0]])
def test_frames_that_are_none(tmp_path: Path, frames: list[float]) -> None:
    np.savez(tmp_path / "m.npz", saliency=np.zeros((3, 4, 8)), frames=np.array(frames))
    with pytest.raises(MapsError, match="rising whole numbers"):
        read_maps("maps", tmp_path / "m.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1e300])
def test_values_that_are_none(tmp_path: Path, value: float) -> None:
    np.savez(tmp_path / "m.npz", saliency=np.full((2, 4, 8), value))
    given = read_maps("maps", tmp_path / "m.npz")
    with pytest.raises(MapsError, match="map 0 has a value that is negative or no number"):
        next(given.pixels(CLIP, "saliency"))


def test_file_names_state_frames_where_they_leave_some_out(tmp_path: Path) -> None:
    """In natural order; names that simply follow each other, or do not lie within the clip, are an order and no frames."""
    for number in (0, 5, 9):
        grey(tmp_path / f"a{number}.png")
    given = read_maps("maps", tmp_path)
    assert given.numbers_within(CLIP) == (0, 5, 9)
    grey(tmp_path / "a10.png")
    beyond = read_maps("maps", tmp_path)
    assert (beyond.numbers, beyond.numbers_within(CLIP)) == ((0, 5, 9, 10), None)
    follow = tmp_path / "follow"
    follow.mkdir()
    for number in range(8, 12):
        grey(follow / f"{number}.png", number)
    ordered = read_maps("maps", follow)
    assert (ordered.numbers, ordered.count) == (None, 4)
    assert [round(float(one["maps"][0, 0]) * 255) for one in layers(ordered)] == [8, 9, 10, 11]


def test_one_picture_is_for_all_frames(tmp_path: Path) -> None:
    grey(tmp_path / "any.png")
    for path in (tmp_path, tmp_path / "any.png"):
        assert read_maps("maps", path).endless


def test_folders_and_pictures_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match="no such file or folder"):
        read_maps("maps", tmp_path / "missing")
    with pytest.raises(MapsError, match="holds no picture"):
        read_maps("maps", tmp_path)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(MapsError, match=r"a\.png: cannot be read"):
        next(read_maps("maps", tmp_path).read(CLIP))
    colours = np.zeros((16, 32, 3), np.uint8)
    colours[..., 0] = 200
    (tmp_path / "a.png").write_bytes(png_bytes(colours))
    with pytest.raises(MapsError, match=r"a\.png: is a picture in colour"):
        next(read_maps("maps", tmp_path).read(CLIP))


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ((854, 480), True),
        ((256, 144), True),
        ((864, 480), True),
        ((54, 30), True),
        ((480, 854), False),
        ((640, 480), False),
        ((854, 460), False),
    ],
)
def test_a_map_has_the_shape_of_the_picture(size: tuple[int, int], fits: bool) -> None:
    clip = Clip(Path("c"), 854, 480, "yuv420p", Fraction(24), 10)
    assert has_shape_of(size[::-1], clip) is fits
    turned = Clip(Path("c"), 854, 480, "yuv420p", Fraction(24), 10, rotation=270)
    assert has_shape_of(size, turned) is fits


def test_maps_of_stored_and_of_displayed_pixels_both_fit() -> None:
    anamorphic = Clip(Path("c"), 720, 576, "yuv420p", Fraction(25), 10, sample_aspect_ratio=Fraction(64, 45))
    assert has_shape_of((576, 720), anamorphic)
    assert has_shape_of((576, 1024), anamorphic)
    assert not has_shape_of((576, 576), anamorphic)


def test_the_hash_is_that_of_names_and_contents(tmp_path: Path) -> None:
    grey(tmp_path / "0.png")
    first = hash_maps("maps", tmp_path)
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert hash_maps("maps", tmp_path) == first
    (tmp_path / "0.png").rename(tmp_path / "1.png")
    renamed = hash_maps("maps", tmp_path)
    grey(tmp_path / "1.png", 254)
    assert len({first, renamed, hash_maps("maps", tmp_path)}) == 3


def test_samples_are_the_maps_nearest_to_those_of_the_analysis() -> None:
    def first(frames: tuple[int, ...], step: int, count: int) -> list[int]:
        stream = NearestFrames(Sampling(Fraction(step)), frames).indices()
        return [next(stream) for _ in range(count)]

    assert first((0, 10, 20), 6, 3) == [0, 10, 20]
    assert first(tuple(range(0, 60, 2)), 6, 4) == [2, 8, 14, 20]  # the samples are 3, 9, 15, 21
    assert first((7,), 6, 2)[0] == 7
    assert first((7,), 6, 2)[1] > 1 << 40


def test_a_box_is_a_record() -> None:
    assert parse_boxes([{"x": 1, "y": 2, "w": 3, "h": 4, "start": 5}]).boxes == (Box(5, float("inf"), 1, 2, 3, 4),)


@pytest.mark.parametrize("size", [(40, 50), (7, 9), (96, 128), (1, 1), (200, 160)])
def test_blocks_are_averaged_as_those_of_models(size: tuple[int, int]) -> None:
    """Partial blocks at the right and lower edge too."""
    maps = np.random.default_rng(1).random(size).astype(np.float32)
    np.testing.assert_allclose(fit_blocks(maps, 50, 40), block_mean(maps, 50, 40), rtol=1e-5)


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of members that are there twice
        for name, data in members.items():
            archive.writestr(name.rstrip("+"), data)
    return path


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_npz_of_another_compression_is_refused(tmp_path: Path, method: int) -> None:
    """Members of bzip2 and LZMA of 3 kB inflate to gigabytes."""
    path = zipped(tmp_path / "m.npz", {"saliency.npy": npy_bytes(np.zeros((1, 4, 8), np.uint8))}, method)
    with pytest.raises(MapsError, match=f"is compressed by method {method}"):
        read_maps("maps", path)


def test_an_npz_with_a_member_twice_is_refused(tmp_path: Path) -> None:
    one = npy_bytes(np.zeros((1, 4, 8), np.uint8))
    with pytest.raises(MapsError, match="a member is there twice"):
        read_maps("maps", zipped(tmp_path / "m.npz", {"saliency.npy": one, "saliency.npy+": one}))


@pytest.mark.parametrize("shape", [(1, 8000, 8000), (400, 4000, 8000)])
def test_maps_far_larger_than_the_picture_are_not_inflated(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """The header claims them; the values are never read."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    given = read_maps("maps", zipped(tmp_path / "m.npz", {"saliency.npy": header.getvalue() + bytes(1 << 20)}))
    with pytest.raises(MapsError, match="far larger than the picture"):
        next(iter(given.read(CLIP)))


@pytest.mark.parametrize("member", ["frames", "block_size"])
def test_a_bomb_beside_the_maps(tmp_path: Path, member: str) -> None:
    """A member of another size than a map needs is not read."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 26,)})
    path = zipped(
        tmp_path / "m.npz",
        {"saliency.npy": npy_bytes(np.zeros((2, 4, 8), np.uint8)), f"{member}.npy": header.getvalue() + bytes(1 << 20)},
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if member == "frames":
        with pytest.raises(MapsError, match="its frames are not so many rising whole numbers"):
            read_maps("maps", path)
    else:
        assert not read_maps("maps", path).on_grid
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("name", ["m.npz", "m.npy", "m.json", "m.png"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_maps_that_are_no_file(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(MapsError, match="is not a regular file"):
        next(iter(read_maps("maps", path).read(CLIP)))()
    with pytest.raises(MapsError, match="is not a regular file"):
        hash_maps("maps", path)


@pytest.mark.parametrize(
    "text",
    [
        '{"boxes": [], "boxes": []}',
        '{"boxes": [{"x": Infinity}]}',
        '{"boxes": [{"x": 1e999}]}',
        '{"boxes": ' + "[" * 20 + "]" * 20 + "}",
    ],
)
def test_json_that_another_reader_would_read_differently(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(MapsError, match=r"b\.json: is no file of boxes"):
        read_maps("maps", tmp_path / "b.json")


def test_boxes_without_number_in_one_frame(tmp_path: Path) -> None:
    many = boxes(tmp_path / "b.json", [{"x": 0, "y": 0, "w": 4, "h": 4}] * 1025)
    with pytest.raises(MapsError, match="more than 1024 boxes in one frame"):
        drawn(many)
