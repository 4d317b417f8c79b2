"""Containers of nested boxes with sizes: MP4 (ISO/IEC 14496-12), RIFF (AVI) and ASF."""

from __future__ import annotations

from gpu_saliency.source.structure.file import File, cut_inside
from gpu_saliency.source.structure.mp4_tables import tables_fault

_BOXES = frozenset(
    b"ftyp moov mdat moof mfra free skip wide sidx uuid meta styp pnot udta emsg prft ssix meco pdin bloc imda".split()
)
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_UNKNOWN_SIZE = 0xFFFFF000
"""RIFF sizes from here on are placeholders of a muxer that could not go back to its header."""


def mp4_fault(file: File) -> str | None:
    """Walk the boxes of the top level, and the tables in those that describe samples.

    Bytes after the last known box are ignored: cameras and tools append their own data.
    """
    place, tables = 0, None
    while place + 8 <= file.size:
        head = file.at(place, 16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in _BOXES or size == 0:  # a box of size 0 extends to the end of the file
            return tables
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if place + size > file.size:
            return cut_inside(f"the box {kind.decode()}", place)
        if kind in (b"moov", b"moof") and tables is None:
            tables = tables_fault(file, place, place + size)
        place += max(size, 8)
    return tables


def riff_fault(file: File) -> str | None:
    """Walk the RIFF chunks; large AVI files have several."""
    place = 0
    while file.at(place, 4) == b"RIFF":
        size = int.from_bytes(file.at(place + 4, 4), "little")
        if size == 0 or size >= _UNKNOWN_SIZE:
            return None
        # The last chunk may lack its byte of padding.
        if place + 8 + size > file.size + 1:
            return cut_inside("the RIFF chunk", place)
        place += 8 + size + size % 2
    return None


def asf_fault(file: File) -> str | None:
    """Compare the file's size with the one in the object "file properties"; a broadcast has none."""
    header = file.at(0, 1 << 16)
    at = header.find(_ASF_FILE_PROPERTIES)
    if at < 0 or at + 104 > len(header):
        return None
    declared, flags = int.from_bytes(header[at + 40 : at + 48], "little"), int.from_bytes(header[at + 88 : at + 92], "little")
    if flags & 1:
        return None
    if declared > file.size:
        return f"the file has {file.size} bytes and declares {declared}"
    return _asf_packet_fault(file, int.from_bytes(header[at + 92 : at + 96], "little"))


def _asf_packet_fault(file: File, size: int) -> str | None:
    """Walk the data packets of ``size`` bytes: all begin with the same error correction flags."""
    data = int.from_bytes(file.at(16, 8), "little")
    end, place = data + int.from_bytes(file.at(data + 16, 8), "little"), data + 50
    mark = file.at(place, 1)
    while size and mark == b"\x82" and place < min(end, file.size):
        if file.at(place, 1) != mark:
            return f"the file is damaged at byte {place}"
        place += size
    return None
