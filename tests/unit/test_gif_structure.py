"""A GIF whose pictures do not fit the size that the file declares is damaged: decoders cut such pictures."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gpu_saliency.source.structure import structure_fault


def gif(screen: tuple[int, int], *pictures: tuple[int, int, int, int]) -> bytes:
    """A file with pictures of (left, top, width, height); their data are empty blocks."""
    images = (b"," + struct.pack("<4H", *one) + b"\0" + b"\x02\x01\0\0" for one in pictures)
    return b"GIF89a" + struct.pack("<2H", *screen) + b"\0\0\0" + b"".join(images) + b";"


@pytest.mark.parametrize(
    ("screen", "wrong"),
    [((96, 60), None), ((96, 59), (13, 96, 59)), ((95, 60), (13, 95, 60)), ((48, 96), (13, 48, 96))],
)
def test_a_picture_larger_than_the_screen(screen: tuple[int, int], wrong: tuple[int, ...] | None, tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(gif(screen, (0, 0, 96, 60), (8, 4, 40, 20)))
    expected = wrong and "the picture at byte {} reaches beyond the {}x{} that the file declares".format(*wrong)
    assert structure_fault(tmp_path / "a.gif", "gif") == expected


def test_a_picture_beyond_the_edge(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(gif((96, 60), (0, 0, 96, 60), (90, 0, 7, 4)))
    assert structure_fault(tmp_path / "a.gif", "gif") == "the picture at byte 27 reaches beyond the 96x60 that the file declares"
