"""The tables of samples in an MP4 (ISO/IEC 14496-12, 8.6 to 8.8): each states how many entries its box must hold."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_saliency.source.structure.file import File

_PARENTS = frozenset(b"moov trak mdia minf stbl moof traf".split())
_ENTRY_BYTES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stss": 4, b"stco": 4, b"co64": 8}
"""Bytes of an entry. Before the first stand 4 bytes of version and flags and 4 of the number of entries."""
_MAX_DEPTH = 8


def tables_fault(file: File, start: int, end: int) -> str | None:
    """What is wrong with the tables in the boxes between the bytes ``start`` and ``end``; ``None`` if nothing is."""
    for kind, body, after in _tables(file, start, end, 0):
        declared, needed = _declared(kind, file.at(body, 12))
        if needed > after - body:
            return f"the table {kind.decode()} at byte {body - 8} declares {declared} entries and is too short for them"
    return None


def _tables(file: File, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte of the content and end of each table."""
    place = start
    while place + 8 <= end:
        head = file.at(place, 8)
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        # No box here has a size of 64 bits, or extends to the end of the file; what follows one that does is unknown.
        if size < 8:
            return
        after = min(place + size, end)
        if kind in _PARENTS and depth < _MAX_DEPTH:
            yield from _tables(file, place + 8, after, depth + 1)
        elif kind in _ENTRY_BYTES or kind in (b"stsz", b"trun"):
            yield kind, place + 8, after
        place += size


def _declared(kind: bytes, head: bytes) -> tuple[int, int]:
    """The number of entries that a table declares, and the bytes that they need with the table's first fields."""
    first, second = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
    if kind == b"stsz":
        # A size that all samples share leaves no table.
        return second, 12 + (0 if first else 4 * second)
    if kind == b"trun":
        # Flags say which fields stand before the table and in each entry (8.8.8).
        flags = int.from_bytes(head[1:4], "big")
        return first, 8 + 4 * (flags & 0x5).bit_count() + 4 * (flags & 0xF00).bit_count() * first
    return first, 8 + _ENTRY_BYTES[kind] * first
