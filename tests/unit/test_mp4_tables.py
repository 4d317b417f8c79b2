"""An MP4 whose table of samples declares more entries than its box holds is damaged, in the file's index and in its fragments."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from gpu_saliency.source.structure import structure_fault

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
WHOLE, FRAGMENTS = "faststart", "frag_keyframe+empty_moov"


@pytest.fixture(scope="module", params=[WHOLE, FRAGMENTS])
def intact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames with B-frames, key frames and sound, so that every table has entries."""
    path = tmp_path_factory.mktemp("intact") / f"{request.param[:4]}.mp4"
    with av.open(str(path), "w", options={"movflags": request.param}) as file:
        video, audio = file.add_stream("libx264", rate=10, options={"g": "10"}), file.add_stream("aac", rate=8000, layout="mono")
        video.width, video.height = 64, 48
        for index in range(30):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * index, np.uint8))))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 24_000), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        file.mux([*audio.encode(sound), *audio.encode(None), *video.encode(None)])
    return path


def tables_of(data: bytes, kind: bytes) -> list[int]:
    """The first bytes of the content of all boxes ``kind``."""
    found, at = [], data.find(kind)
    while at >= 0:
        found.append(at + 4)
        at = data.find(kind, at + 4)
    return found


def test_an_intact_file_has_no_fault(intact: Path) -> None:
    assert structure_fault(intact, MP4) is None


@pytest.mark.parametrize("kind", ["stts", "ctts", "stsc", "stss", "stco", "stsz", "trun"])
def test_a_table_that_is_shorter_than_it_declares(kind: str, intact: Path, tmp_path: Path) -> None:
    data = intact.read_bytes()
    places = tables_of(data, kind.encode())
    if (kind == "trun") != (intact.name[:4] == FRAGMENTS[:4]) and not places:
        return  # fragments have these tables, and an index has the others
    assert places
    for place in places:
        if kind == "trun" and not struct.unpack_from(">I", data, place)[0] & 0xF00:
            continue  # entries without fields take no bytes
        at = place + (8 if kind == "stsz" else 4)
        for declared in (struct.unpack_from(">I", data, at)[0] + 1, 65535, 2**32 - 1):
            path = tmp_path / "edited.mp4"
            path.write_bytes(data[:at] + struct.pack(">I", declared) + data[at + 4 :])
            fault = structure_fault(path, MP4)
            assert fault == f"the table {kind} at byte {place - 8} declares {declared} entries and is too short for them"


def test_a_size_that_all_samples_share_needs_no_table(intact: Path, tmp_path: Path) -> None:
    data = intact.read_bytes()
    at = tables_of(data, b"stsz")[0] + 4
    (tmp_path / "shared.mp4").write_bytes(data[:at] + struct.pack(">II", 100, 10**6) + data[at + 8 :])
    assert structure_fault(tmp_path / "shared.mp4", MP4) is None
