"""The sidecar: a round trip keeps everything, the same analysis gives the same bytes, and hostile files do no harm."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_saliency.analysis.sidecar import (
    AnalysisRecord,
    DeviceFacts,
    MapsRecord,
    ModelRecord,
    Sidecar,
    SidecarHeader,
    SourceRecord,
    check_fresh,
    read_sidecar,
    save_sidecar,
)
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import OutputError, SidecarError
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.results import AnalysisFacts
from gpu_saliency.source.sampling import Sampling

SOURCE = SourceRecord(
    path="/x", size_bytes=9, fingerprint="f", width=50, height=40, pix_fmt="yuv420p", frame_rate=Fraction(30000, 1001), duration=0.0
)
CURVE = AttentionCurve(((0.01, 0.2), (0.5, 9.0)), ((0.01, 0.3), (0.5, 4.0)), object=6.0, floor=0.2, beta=0.5)
MODEL = ModelRecord("m", "0", CURVE)
ANALYSIS = AnalysisRecord(
    step=Fraction(5),
    sampled_frames=2,
    corrupt_packets=None,
    variable_frame_rate=False,
    device="cpu",
    device_reason="asked for",
    provider="p",
    facts=DeviceFacts(decoder="d"),
    further={"newer": [1]},
)


def example() -> Sidecar:
    """Two maps of a 50x40 clip, 3 x 4 blocks, with a cut and uneven time stamps."""
    rng = np.random.default_rng(1)
    track = SaliencyTrack(
        saliency=rng.integers(0, 256, (2, 3, 4), np.uint8),
        activity=rng.integers(0, 256, (2, 3, 4), np.uint8),
        sample_frame=np.array([2, 7]),
        motion=np.array([0, 0.125], np.float32),
        frame_count=9,
        cuts=(5,),
        frame_pts=np.array([7, 10, 13, 17, 20, 23, 27, 30, 33]),
        time_base=Fraction(1, 1000),
        gaze=rng.integers(0, 256, (2, 3, 4), np.uint8),
        attention=CURVE,
    )
    return Sidecar(track, SOURCE, MODEL, ANALYSIS)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    kept = example().with_encode("a.mp4", {"crf": 23})
    save_sidecar(kept, path)
    found = read_sidecar(path)
    for name in ("saliency", "gaze", "activity", "sample_frame", "motion", "frame_pts"):
        one, other = getattr(found.track, name), getattr(kept.track, name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    for name in ("frame_count", "cuts", "time_base", "attention"):
        assert getattr(found.track, name) == getattr(kept.track, name)
    for name in ("source", "model", "analysis", "encodes"):
        assert getattr(found, name) == getattr(kept, name)
    assert [p.name for p in tmp_path.iterdir()] == ["s.npz"]


def test_numpy_reads_a_sidecar(tmp_path: Path) -> None:
    save_sidecar(example(), tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        np.testing.assert_array_equal(file["saliency"], example().track.saliency)


def test_without_time_stamps(tmp_path: Path) -> None:
    kept = example()
    save_sidecar(replace(kept, track=replace(kept.track, frame_pts=None)), tmp_path / "s.npz")
    assert read_sidecar(tmp_path / "s.npz").track.frame_pts is None


def test_without_gaze(tmp_path: Path) -> None:
    """The track of a model with one output, whose metadata holds no curve."""
    kept = example()
    track = replace(kept.track, gaze=None, attention=None)
    save_sidecar(replace(kept, track=track, model=replace(MODEL, attention=None)), tmp_path / "s.npz")
    found = read_sidecar(tmp_path / "s.npz")
    assert (found.track.gaze, found.track.attention, found.origin.attention) == (None, None, None)


def test_version_2_is_read(tmp_path: Path) -> None:
    """It has no gaze member, and neither `has_gaze` nor the model's curve in its header."""
    path = tmp_path / "s.npz"
    model = {"name": "m", "sha256": "0"}
    rewrite(path, lambda h: {k: v for k, v in h.items() if k != "has_gaze"} | {"version": 2, "model": model}, gaze=None)
    found = read_sidecar(path)
    assert (found.track.gaze, found.track.attention, found.model) == (None, None, ModelRecord("m", "0"))
    np.testing.assert_array_equal(found.track.saliency, example().track.saliency)
    check_fresh(found, path, SOURCE, MODEL)


def test_version_3_is_read(tmp_path: Path) -> None:
    """It is always of a model."""
    path = tmp_path / "s.npz"
    rewrite(path, lambda h: {k: v for k, v in h.items() if k != "maps"} | {"version": 3})
    found = read_sidecar(path)
    assert (found.model, found.maps) == (MODEL, None)


def test_a_sidecar_of_given_maps(tmp_path: Path) -> None:
    """Its origin is the maps, with their curve; it is refused for a model, other maps, and the same maps of another kind."""
    path, maps = tmp_path / "s.npz", MapsRecord("masks", "1", "gaze", CURVE)
    save_sidecar(replace(example(), model=None, maps=maps), path)
    found = read_sidecar(path)
    assert (found.model, found.maps, found.track.attention) == (None, maps, CURVE)
    check_fresh(found, path, SOURCE, replace(maps, name="moved"))
    others: dict[str, ModelRecord | MapsRecord] = {
        "maps masks .SHA-256 1., not from model m": MODEL,
        "not from gaze maps other": MapsRecord("other", "2", "gaze"),
        "gaze maps masks .SHA-256 1., not from saliency maps masks": replace(maps, kind="saliency"),
    }
    for words, other in others.items():
        with pytest.raises(SidecarError, match=words):
            check_fresh(found, path, SOURCE, other)


def test_same_analysis_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_sidecar(example(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_unwritable_path(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_sidecar(example(), tmp_path / "no" / "s.npz")


def test_the_header_is_the_documented_json(tmp_path: Path) -> None:
    """Keys and types of docs/sidecar.md, in its order; facts that this version does not know are kept."""
    save_sidecar(example(), tmp_path / "s.npz")
    with zipfile.ZipFile(tmp_path / "s.npz") as archive:
        header = json.loads(archive.read("header.json"))
    source = {"path": "/x", "size_bytes": 9, "fingerprint": "f", "width": 50, "height": 40, "pix_fmt": "yuv420p"}
    analysis = {"step": "5", "at_key_frames": False, "sampled_frames": 2, "corrupt_packets": None, "variable_frame_rate": False}
    analysis |= {"device": "cpu", "device_reason": "asked for", "provider": "p"}
    analysis |= {"clock": "source", "shortfall": None, "frame_formats": [], "decoder": "d"}
    analysis = {"newer": [1]} | analysis
    assert header["source"] == source | {"frame_rate": "30000/1001", "duration": 0.0, "stream": 0, "start": 0.0}
    assert list(header["source"]) == [*source, "frame_rate", "duration", "stream", "start"]
    curve = {"gaze": [[0.01, 0.2], [0.5, 9.0]], "saliency": [[0.01, 0.3], [0.5, 4.0]], "object": 6.0, "floor": 0.2, "beta": 0.5}
    assert header["model"] == {"name": "m", "sha256": "0", "attention": curve}
    assert (header["version"], header["has_gaze"], header["maps"]) == (4, True, None)
    assert header["analysis"] == analysis
    assert list(header["analysis"]) == list(analysis)


STALE: dict[str, tuple[SourceRecord, str]] = {
    "size": (replace(SOURCE, size_bytes=4096), "was made for a source of 9 bytes, this one has 4,096"),
    "content": (replace(SOURCE, fingerprint="g"), "of the same size with other content"),
    "geometry": (replace(SOURCE, width=64), "was made for 50x40 pixels, not for 64x40"),
    "format": (replace(SOURCE, pix_fmt="yuv444p"), "was made for pixel format yuv420p, not for yuv444p"),
    "rate": (replace(SOURCE, frame_rate=Fraction(24)), "was made for 30000/1001 frames per second, not for 24"),
    "duration": (replace(SOURCE, duration=0.5), "was made for the whole clip, not for its first 0.5 s"),
}


@pytest.mark.parametrize("name", STALE)
def test_a_sidecar_of_another_source_is_refused(name: str) -> None:
    source, reason = STALE[name]
    with pytest.raises(SidecarError, match=f"^s.npz: .*{reason}.*\\(delete it, or give sidecar another path\\)$"):
        check_fresh(example(), Path("s.npz"), source)


def test_a_sidecar_of_another_model_or_step_is_refused() -> None:
    path = Path("s.npz")
    check_fresh(example(), path, replace(SOURCE, path="/moved"), MODEL, Sampling(Fraction(5)))
    with pytest.raises(SidecarError, match=r"was made by model m \(SHA-256 0\), not by n \(1\)"):
        check_fresh(example(), path, SOURCE, ModelRecord("n", "1"))
    with pytest.raises(SidecarError, match=r"has a map for every 5 frames, not for every 2\.5"):
        check_fresh(example(), path, SOURCE, MODEL, Sampling(Fraction(5, 2)))
    with pytest.raises(SidecarError, match=r"has a map for every 5 frames, not for each key frame"):
        check_fresh(example(), path, SOURCE, MODEL, Sampling(Fraction(5), at_key_frames=True))


def test_the_oldest_encode_is_forgotten() -> None:
    kept = example()
    for i in range(70):
        kept = kept.with_encode(f"{i}.mp4", {})
    assert list(kept.encodes) == [f"{i}.mp4" for i in range(6, 70)]


def rewrite(path: Path, header: Callable[[dict[str, Any]], Any] | None = None, **members: bytes | None) -> None:
    """Write the example to ``path`` with a changed header and changed (``None``: missing) arrays."""
    save_sidecar(example(), path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if header is not None:
        changed = header(json.loads(content["header.json"]))
        content["header.json"] = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    for name, data in members.items():
        content.pop(f"{name}.npy")
        if data is not None:
            content[f"{name}.npy"] = data
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def array_bytes(array: np.ndarray, pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=pickle)
    return buffer.getvalue()


def nested(levels: int) -> Any:
    """A list in a list, ``levels`` times."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE_HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not JSON": lambda _: b"{",
    "a list": lambda _: [1],
    "deep": lambda _: b"[" * 100_000,
    "other format": lambda h: h | {"format": "x"},
    "version 1": lambda h: h | {"version": 1},
    "version 5": lambda h: h | {"version": 5},
    "no origin": lambda h: h | {"model": None},
    "two origins": lambda h: h | {"maps": {"name": "m", "sha256": "0", "kind": "gaze", "attention": None}},
    "no word on maps": lambda h: {k: v for k, v in h.items() if k != "maps"},
    "maps without a kind": lambda h: h | {"model": None, "maps": {"name": "m", "sha256": "0"}},
    "version 3 without a model": lambda h: h | {"version": 3, "model": None},
    "version of number": lambda h: h | {"version": 3.0},
    "version of list": lambda h: h | {"version": [3]},
    "no word on gaze": lambda h: {k: v for k, v in h.items() if k != "has_gaze"},
    "gaze of text": lambda h: h | {"has_gaze": "yes"},
    "curve of text": lambda h: h | {"model": h["model"] | {"attention": "x"}},
    "curve of false": lambda h: h | {"model": h["model"] | {"attention": False}},
    "curve falls": lambda h: h | {"model": h["model"] | {"attention": CURVE.to_json() | {"gaze": [[0.1, 2], [0.2, 1]]}}},
    "strength of nan": lambda h: h | {"model": h["model"] | {"attention": CURVE.to_json() | {"beta": float("nan")}}},
    "huge": lambda h: h | {"pad": "x" * (1 << 21)},
    "no maps": lambda h: h | {"samples": 0},
    "other number of maps": lambda h: h | {"samples": 3},
    "more maps than frames": lambda h: h | {"samples": 10},
    "billions of frames": lambda h: h | {"frame_count": 10**12},
    "other number of frames": lambda h: h | {"frame_count": 8},
    "cuts falling": lambda h: h | {"cuts": [5, 3]},
    "cuts beyond": lambda h: h | {"cuts": [9]},
    "cuts of text": lambda h: h | {"cuts": ["5"]},
    "time base of nothing": lambda h: h | {"time_base": "1/0"},
    "time base backwards": lambda h: h | {"time_base": "-1/24"},
    "time base of text": lambda h: h | {"time_base": "x"},
    "no frames": lambda h: h | {"frame_count": 0},
    "frames of nan": lambda h: h | {"frame_count": float("nan")},
    "wide": lambda h: h | {"source": h["source"] | {"width": 10**9}},
    "width of text": lambda h: h | {"source": h["source"] | {"width": "50"}},
    "width of null": lambda h: h | {"source": h["source"] | {"width": None}},
    "width of true": lambda h: h | {"source": h["source"] | {"width": True}},
    "huge number": lambda h: json.dumps(h).replace("50", "9" * 5000, 1).encode(),
    "time base too large to compute": lambda h: h | {"time_base": "1e999999999"},
    "step too large to compute": lambda h: h | {"analysis": h["analysis"] | {"step": "1e999999999"}},
    "step of nothing": lambda h: h | {"analysis": h["analysis"] | {"step": "0"}},
    "packets of text": lambda h: h | {"analysis": h["analysis"] | {"corrupt_packets": "3"}},
    "device of number": lambda h: h | {"analysis": h["analysis"] | {"device": 1}},
    "no frame rate": lambda h: h | {"source": {k: v for k, v in h["source"].items() if k != "frame_rate"}},
    "duration of text": lambda h: h | {"source": h["source"] | {"duration": "0"}},
    "size of text": lambda h: h | {"source": h["source"] | {"size_bytes": "9"}},
    "checksum of number": lambda h: h | {"model": h["model"] | {"sha256": 0}},
    "no model": lambda h: {k: v for k, v in h.items() if k != "model"},
    "encodes of text": lambda h: h | {"encodes": "x"},
    "other blocks": lambda h: h | {"block_size": 8},
    "deep encodes": lambda h: h | {"encodes": {"o": {"a": nested(40)}}},
    "deep facts": lambda h: h | {"analysis": h["analysis"] | {"newer": nested(100)}},
    "a key twice": lambda h: json.dumps(h).replace('"samples": 2', '"samples": 9, "samples": 2').encode(),
    "duration of nan": lambda h: h | {"source": h["source"] | {"duration": float("nan")}},
    "duration of infinity": lambda h: h | {"source": h["source"] | {"duration": float("inf")}},
    "duration beyond floats": lambda h: json.dumps(h).replace('"duration": 0.0', '"duration": 1e400').encode(),
    "negative duration": lambda h: h | {"source": h["source"] | {"duration": -1}},
    "negative size": lambda h: h | {"source": h["source"] | {"size_bytes": -9}},
    "nan in an encode": lambda h: h | {"encodes": {"o.mp4": {"crf": float("nan")}}},
    "nan in a new fact": lambda h: h | {"analysis": h["analysis"] | {"newer": float("inf")}},
    "an encode of text": lambda h: h | {"encodes": {"o.mp4": "x"}},
    "a path with a NUL": lambda h: h | {"source": h["source"] | {"path": "/x\0y"}},
    "a path of half a character": lambda h: h | {"source": h["source"] | {"path": "/\ud800"}},
    "a path of a megabyte": lambda h: h | {"source": h["source"] | {"path": "/x" * 300_000}},
    "a decoder of a list": lambda h: h | {"analysis": h["analysis"] | {"decoder": ["d"]}},
    "GPUs of numbers": lambda h: h | {"analysis": h["analysis"] | {"gpus": [1]}},
    "decoders of text": lambda h: h | {"analysis": h["analysis"] | {"decoders": "many"}},
    "negative packets": lambda h: h | {"analysis": h["analysis"] | {"corrupt_packets": -1}},
    "analysis of a list": lambda h: h | {"analysis": []},
    "time base 1e99999999": lambda h: h | {"time_base": "1e99999999"},
    "time base of 99999999 digits": lambda h: h | {"time_base": "1/" + "9" * 100_000},
    "time base 1/00": lambda h: h | {"time_base": "1/00"},
    "rate of a float": lambda h: h | {"source": h["source"] | {"frame_rate": 24.0}},
    "UTF-16": lambda h: json.dumps(h).encode("utf-16"),
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_hostile_header(tmp_path: Path, name: str) -> None:
    rewrite(tmp_path / "s.npz", HOSTILE_HEADERS[name])
    with pytest.raises(SidecarError, match=r"s\.npz"):
        read_sidecar(tmp_path / "s.npz")


HOSTILE_ARRAYS: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "junk": b"junk" * 40,
    "pickle": array_bytes(np.array([[print]], object), pickle=True),
    "floats": array_bytes(np.zeros((2, 3, 4))),
    "other shape": array_bytes(np.zeros((2, 4, 3), np.uint8)),
    "fortran": array_bytes(np.asfortranarray(np.ones((2, 3, 4), np.uint8))),
    "short": array_bytes(np.ones((2, 3, 4), np.uint8))[:-8],
    "pickle of a function": b"\x80\x04cos\nsystem\n(Vtrue\ntR." * 20,
    "pickled inside": array_bytes(np.array([{"a": 1}] * 24, object), pickle=True),
    "structured": array_bytes(np.zeros((2, 3, 4), [("a", np.uint8)])),
    "text": array_bytes(np.full((2, 3, 4), "ab")),
    "code as a header": b"\x93NUMPY\x01\x00v\x00" + b"__import__('os').abort()".ljust(117) + b"\n" + bytes(24),
    "negative shape": array_bytes(np.ones((2, 3, 4), np.uint8)).replace(b"(2, 3, 4)", b"(2,-3,-4)"),
    "version 9": array_bytes(np.ones((2, 3, 4), np.uint8)).replace(b"NUMPY\x01", b"NUMPY\x09"),
    "claims more": array_bytes(np.ones((2, 3, 4), np.uint8)).replace(b"(2, 3, 4)", b"(9, 9, 9)"),
}


@pytest.mark.parametrize("member", ["saliency", "gaze", "detail", "sample_frame", "motion", "frame_pts"])
@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_hostile_array(tmp_path: Path, name: str, member: str) -> None:
    rewrite(tmp_path / "s.npz", None, **{member: HOSTILE_ARRAYS[name]})
    with pytest.raises(SidecarError, match=r"s\.npz"):
        read_sidecar(tmp_path / "s.npz")


WRONG_TIMES: dict[str, dict[str, np.ndarray]] = {
    "maps fall": {"sample_frame": np.array([7, 2])},
    "maps before the first frame": {"sample_frame": np.array([-1, 2])},
    "maps after the last frame": {"sample_frame": np.array([2, 9])},
    "stamps stand still": {"frame_pts": np.array([7, 3, 0, 4, 3, 3, 4, 3, 3])},
    "motion of nan": {"motion": np.array([0, np.nan], np.float32)},
    "motion backwards": {"motion": np.array([0, -1], np.float32)},
}


@pytest.mark.parametrize("name", WRONG_TIMES)
def test_contradictory_times(tmp_path: Path, name: str) -> None:
    rewrite(tmp_path / "s.npz", None, **{member: array_bytes(array) for member, array in WRONG_TIMES[name].items()})
    with pytest.raises(SidecarError, match=r"s\.npz"):
        read_sidecar(tmp_path / "s.npz")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A member of 600 MB of zeros in a file of 600 KB is refused by its declared size, before memory is allocated."""
    bomb = tmp_path / "s.npz"
    rewrite(bomb)
    with zipfile.ZipFile(bomb) as archive:
        header = archive.read("header.json")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", header)
        with archive.open("saliency.npy", "w") as member:
            for _ in range(600):
                member.write(bytes(1_000_000))
        for name in ("gaze", "detail", "sample_frame", "motion", "frame_pts"):
            archive.writestr(f"{name}.npy", array_bytes(np.cumsum(np.ones(9, np.int64))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SidecarError, match="claims 600000000 bytes"):
        read_sidecar(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def repacked(path: Path, method: int, names: set[str] | None = None) -> None:
    """The example, with the members ``names`` (``None``: all) compressed by ``method``."""
    rewrite(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data, method if names is None or name in names else zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("names", [None, {"saliency.npy"}, {"header.json"}, {"frame_pts.npy"}])
def test_other_compressions_are_refused(tmp_path: Path, method: int, names: set[str] | None) -> None:
    repacked(tmp_path / "s.npz", method, names)
    with pytest.raises(SidecarError, match=f"is compressed by method {method}, only stored and deflated are read"):
        read_sidecar(tmp_path / "s.npz")


def test_stored_members_are_read(tmp_path: Path) -> None:
    repacked(tmp_path / "s.npz", zipfile.ZIP_STORED)
    np.testing.assert_array_equal(read_sidecar(tmp_path / "s.npz").track.saliency, example().track.saliency)


@pytest.mark.parametrize("name", ["header.json", "saliency.npy", "other"])
def test_a_member_that_is_there_twice(tmp_path: Path, name: str) -> None:
    rewrite(tmp_path / "s.npz")
    with zipfile.ZipFile(tmp_path / "s.npz", "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr(name, b"{}")
    with pytest.raises(SidecarError, match="a member is there twice"):
        read_sidecar(tmp_path / "s.npz")


@pytest.mark.parametrize("name", ["header.json", "saliency.npy", "motion.npy"])
def test_an_encrypted_member(tmp_path: Path, name: str) -> None:
    """Bit 0 of the flags in the member's two headers says that it is encrypted."""
    path = tmp_path / "s.npz"
    rewrite(path)
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 30 if flags == 6 else 46
        at = next(i for i in range(len(data)) if data[i : i + 4] == mark and data[i + start :].startswith(name.encode()))
        data[at + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(SidecarError, match="is encrypted"):
        read_sidecar(path)


def test_a_checksum_that_is_wrong(tmp_path: Path) -> None:
    """A flipped bit in the values of a stored member."""
    path = tmp_path / "s.npz"
    repacked(path, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"saliency.npy") + 12 + 128] ^= 1
    path.write_bytes(data)
    with pytest.raises(SidecarError, match="CRC"):
        read_sidecar(path)


def test_a_directory_of_a_million_members(tmp_path: Path) -> None:
    """Its 46 MB would become a gigabyte of objects; it is refused by its size."""
    path = tmp_path / "s.npz"
    entry = b"PK\x01\x02" + bytes(42)
    directory = entry * 1_000_000
    end = b"PK\x05\x06" + bytes(4) + struct.pack("<HHIIH", 65535, 65535, len(directory), 0, 0)
    path.write_bytes(directory + end)
    with pytest.raises(SidecarError, match="directory has more than"):
        read_sidecar(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "s.npz"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(SidecarError, match=r"not a regular file|Is a directory"):
        read_sidecar(path)


def test_the_header_is_checked_before_any_array(tmp_path: Path) -> None:
    """The arrays are damaged, and the caller's refusal of the header comes first."""
    path = tmp_path / "s.npz"
    rewrite(path, None, saliency=b"junk", detail=b"junk", frame_pts=b"junk")

    def refuse(header: SidecarHeader) -> None:
        raise SidecarError(f"other source {header.source.path}")

    with pytest.raises(SidecarError, match=r"^other source /x$"):
        read_sidecar(path, refuse)


@pytest.mark.parametrize(
    "steps",
    [
        [7, 3, 3, 4, 3, -3, 4, 3, 3],
        [7, 3, 3, 4, 3, 0, 4, 3, 3],
        [7, *[1 << 61] * 8],
        [-(1 << 63), *[1 << 62] * 8],
        [(1 << 63) - 1, 1, 1, 1, 1, 1, 1, 1, 1],
    ],
)
def test_time_stamps_that_fall_or_overflow(tmp_path: Path, steps: list[int]) -> None:
    rewrite(tmp_path / "s.npz", None, frame_pts=array_bytes(np.array(steps, np.int64)))
    with pytest.raises(SidecarError, match="a time stamp after the one before"):
        read_sidecar(tmp_path / "s.npz")


def test_facts_of_a_newer_version_are_kept_and_never_shown() -> None:
    """A key such as ``reused`` or ``frames`` of the file could otherwise replace a value of the result."""
    facts = ANALYSIS.to_file() | {"reused": False, "frames": 1, "sidecar": "/etc/passwd", "model": None}
    record = AnalysisRecord.from_json(facts)
    assert record.to_json() == ANALYSIS.to_json()
    assert record.to_file() == facts
    shown = AnalysisFacts(replace(example(), analysis=record), True, Path("/s.npz")).to_json()
    assert (shown["reused"], shown["frames"], shown["sidecar"], shown["model"]) == (True, 9, "/s.npz", MODEL.to_json())


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04" + b"\0" * 50])
def test_not_a_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(SidecarError, match=r"s\.npz"):
        read_sidecar(tmp_path / "s.npz")


def test_damage_always_raises_sidecar_error(tmp_path: Path) -> None:
    """300 copies of a good file with changed bytes or the end cut off."""
    path = tmp_path / "s.npz"
    save_sidecar(example(), path)
    good, rng, refused = path.read_bytes(), random.Random(4), 0
    for _ in range(300):
        data = bytearray(good)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.randrange(1, 5) if data else 0):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            read_sidecar(path)
        except SidecarError:
            refused += 1
    assert refused > 200
