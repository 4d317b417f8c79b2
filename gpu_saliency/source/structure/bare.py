"""Bare bitstreams: start codes, each followed by a unit (ITU-T H.264, H.265, annex B; ISO/IEC 13818-2)."""

from __future__ import annotations

from collections.abc import Callable

from gpu_saliency.source.structure.file import File

_PREFIX = b"\0\0\1"
_H264_ENDS = frozenset({10, 11})
"""Units of one byte: end of sequence, end of stream."""
_MPEG_ENDS = frozenset({0xB7, 0xB9})
_FAULT = "the file ends inside a unit of the bitstream"


def h264_fault(file: File) -> str | None:
    """Look whether the file ends behind a start code."""
    return _fault(file, 1, lambda unit: unit[0] & 0x1F in _H264_ENDS)


def hevc_fault(file: File) -> str | None:
    """Look whether the file ends behind a start code or inside the two bytes of a unit's header."""
    return _fault(file, 2, lambda unit: len(unit) == 2 and unit[0] >> 1 in (36, 37))


def mpeg_fault(file: File) -> str | None:
    """Look whether the file ends behind a start code, or before the content of what that announces."""
    return _fault(file, 2, lambda unit: unit[0] in _MPEG_ENDS)


def _fault(file: File, head: int, is_whole: Callable[[bytes], bool]) -> str | None:
    """The fault of a last unit of up to ``head`` bytes, unless it ``is_whole``."""
    tail = file.at(max(0, file.size - 64), 64)
    at = tail.rfind(_PREFIX)
    unit = tail[at + len(_PREFIX) :]
    return None if at < 0 or len(unit) > head or (unit and is_whole(unit)) else _FAULT
