"""NUT: the index that a finished file ends with."""

from __future__ import annotations

from gpu_saliency.source.structure.file import File

_INDEX = b"NX\xdd\x67\x2f\x23\xe6\x4e"
_TAIL = 12
"""Bytes after the index's entries: its own length, 8 bytes, and a checksum."""


def nut_fault(file: File) -> str | None:
    """Look for the index where the last bytes say that it begins (NUT specification). libavformat's muxer always writes it."""
    length = int.from_bytes(file.at(file.size - _TAIL, 8), "big") if file.size > _TAIL else 0
    if not _TAIL < length <= file.size or file.at(file.size - length, len(_INDEX)) != _INDEX:
        return "the file does not end with the index of a finished file"
    return None
