"""MXF: items of a key, a length and a value, in partitions of which the last is a footer (SMPTE ST 377-1)."""

from __future__ import annotations

from gpu_saliency.source.structure.file import File, cut_inside

_MARK = bytes.fromhex("060e2b34")
_PARTITION = bytes.fromhex("060e2b34020501010d01020101")
"""Key of a partition without version: the next byte is its kind, or that of the random index pack."""
_HEADER, _FOOTER, _RANDOM_INDEX = 2, 4, 17
_RUN_IN = 1 << 16


def mxf_fault(file: File) -> str | None:
    """Walk all items to the random index pack or the end; a file without footer is cut, or was never finished."""
    place = file.at(0, _RUN_IN).find(_PARTITION + bytes([_HEADER]))
    has_footer = False
    while 0 <= place < file.size:
        head = file.at(place, 25)
        if head[:4] != _MARK[: len(head)]:
            # Some programs append data of their own.
            return None if has_footer else f"the file is damaged at byte {place}"
        if len(head) < 17:
            return cut_inside("an item", place)
        if head[:13] == _PARTITION:
            has_footer |= head[13] == _FOOTER
            if head[13] == _RANDOM_INDEX:
                break
        count = head[16] & 0x7F if head[16] & 0x80 else 0
        if head[16] == 0x80 or count > 8:
            return None  # of no stated length
        size = int.from_bytes(head[17 : 17 + count], "big") if count else head[16]
        if place + 17 + count + size > file.size:
            return cut_inside("an item", place)
        place += 17 + count + size
    return None if has_footer or place < 0 else "the file has no footer partition: it is cut, or was never finished"
