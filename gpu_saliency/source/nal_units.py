"""Splits the packets of a video stream into the units of its codec: NAL units of H.264 and HEVC, OBUs of AV1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload


@overload
def nal_units(data: bytes, length_size: int) -> Iterator[bytes]: ...
@overload
def nal_units(data: bytes | memoryview, length_size: int) -> Iterator[bytes | memoryview]: ...
def nal_units(data: bytes | memoryview, length_size: int) -> Iterator[bytes | memoryview]:
    """The NAL units of a packet, without empty ones: after lengths of ``length_size`` bytes, or between start codes for 0."""
    at = 0
    if length_size:
        while at + length_size < len(data):
            size = int.from_bytes(data[at : at + length_size], "big")
            at += length_size
            if size:
                yield data[at : at + size]
            at += size
        return
    data = bytes(data)
    begin = data.find(b"\0\0\1")
    while begin >= 0:
        begin += 3
        end = data.find(b"\0\0\1", begin)
        unit = data[begin : end if end >= 0 else len(data)]
        if unit:
            yield unit
        begin = end


def length_size(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length before each NAL unit, from the avcC or hvcC in ``extradata``; 0 for start codes."""
    if not extradata or extradata[0] != 1:
        return 0
    at = {"h264": 4, "hevc": 21}.get(codec)
    return (extradata[at] & 3) + 1 if at is not None and len(extradata) > at else 0


def random_access(codec: str, data: memoryview, lengths: int) -> bool:
    """Whether a packet surely holds a picture where decoding can begin: an IDR of H.264, or an IRAP of HEVC (H.265, 7.4.2.2)."""
    if codec not in ("h264", "hevc"):
        return False
    # A picture has many bytes: it is not copied where units have lengths.
    kinds = (unit[0] for unit in nal_units(data, lengths))
    if codec == "h264":
        return any(kind & 0x1F == 5 for kind in kinds)
    return any(16 <= kind >> 1 & 0x3F <= 21 for kind in kinds)


def unescape(unit: bytes) -> bytes:
    """Remove the emulation prevention bytes of a NAL unit."""
    return unit.replace(b"\0\0\3", b"\0\0")


def obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of the OBUs in a temporal unit (AV1 specification, 5.3)."""
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size, at = _leb128(data, at)
        yield header >> 3 & 15, data[at : at + size]
        at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * i
        if not byte & 0x80:
            break
    return value, at
