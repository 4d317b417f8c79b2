"""Ogg: pages with sequence numbers, of which the last of each stream carries an end mark (RFC 3533)."""

from __future__ import annotations

import zlib

from gpu_saliency.source.structure.file import File, cut_inside

_HEADER = 27
_END = 0x04
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_fault(file: File) -> str | None:
    """Walk all pages."""
    place = 0
    following: dict[bytes, int] = {}
    open_streams: set[bytes] = set()
    while place < file.size:
        head = file.at(place, _HEADER + 255)
        if len(head) < _HEADER:
            return cut_inside("a page", place)
        if head[:4] != b"OggS":
            return f"the file is damaged at byte {place}"
        lacing = head[_HEADER : _HEADER + head[26]]
        size = _HEADER + head[26] + sum(lacing)
        if place + size > file.size:
            return cut_inside("a page", place)
        if _checksum(file.at(place, size)) != int.from_bytes(head[22:26], "little"):
            return f"the page at byte {place} is damaged"
        serial, number = head[14:18], int.from_bytes(head[18:22], "little")
        if following.get(serial, number) != number:
            return f"a page is missing before byte {place}"
        following[serial] = number + 1
        open_streams.add(serial)
        if head[5] & _END:
            open_streams.discard(serial)
            following.pop(serial)
        place += size
    return "a stream has no end mark" if open_streams else None


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32 of a page: the polynomial of zlib's, with the other order of bits, from 0 and without inversion."""
    content = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(content.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
