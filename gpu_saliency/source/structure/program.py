"""MPEG program streams: packs and packets, each with its length."""

from __future__ import annotations

from gpu_saliency.source.structure.file import File, cut_inside

_START = b"\0\0\1"
_END, _PACK = 0xB9, 0xBA


def program_fault(file: File) -> str | None:
    """Walk packs and packets to the end (ISO/IEC 13818-1, 2.5.3; MPEG-1's pack header is shorter).

    What follows bytes that are no packet is not judged: players look for the next start code there.
    """
    place = 0
    while place < file.size:
        head = file.at(place, 14)
        if len(head) < 4:
            return cut_inside("a start code", place)
        if head[:3] != _START or head[3] < _END:
            return None
        if head[3] == _END:
            size = 4
        elif len(head) < 6:
            return cut_inside("a packet", place)
        elif head[3] == _PACK:
            is_short = head[4] >> 4 == 0b0010
            size = 12 if is_short or len(head) < 14 else 14 + (head[13] & 7)
        else:
            size = 6 + int.from_bytes(head[4:6], "big")
        if place + size > file.size:
            return cut_inside("a packet", place)
        place += size
    return None
