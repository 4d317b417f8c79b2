"""Matroska and WebM: elements of an identifier, a size and content (RFC 8794, RFC 9559)."""

from __future__ import annotations

from gpu_saliency.source.structure.file import File, cut_inside

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_TOP = frozenset(
    {0x1A45DFA3, _SEGMENT, _CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
)
"""Elements that end a cluster of unknown size: those of the levels 0 and 1."""
_HEAD = 12
"""Most bytes of an identifier and a size."""


def ebml_fault(file: File) -> str | None:
    """Walk the segment and its clusters, down to the blocks."""
    place, limit, cluster_end = 0, file.size, 0
    while place < limit:
        head = file.at(place, _HEAD)
        found = _element(head)
        if found is None:
            cut = place + len(head) >= file.size and len(head) < _HEAD and head[:1] != b"\0"
            return cut_inside("an element", place) if cut else f"the file is damaged at byte {place}"
        kind, begin, size = found
        begin += place
        if kind == _SEGMENT:
            if size is not None and begin + size > file.size:
                return cut_inside("the segment", place)
            limit = file.size if size is None else begin + size
            place = begin
        elif kind == _CLUSTER:
            if size is not None and begin + size > limit:
                return cut_inside("a cluster", place)
            cluster_end = limit if size is None else begin + size
            place = begin
        elif size is None:
            return None  # only segments and clusters may have no size
        elif begin + size > (cluster_end if place < cluster_end and kind not in _TOP else limit):
            return cut_inside("a block", place) if begin + size > file.size else f"the file is damaged at byte {place}"
        else:
            place = begin + size
    return None


def _element(head: bytes) -> tuple[int, int, int | None] | None:
    """Identifier, length of identifier and size, and size of the content (``None``: unknown); ``None`` for no element."""
    if len(head) < 2 or head[0] < 0x10:
        return None
    id_length = 9 - head[0].bit_length()
    if len(head) <= id_length or not head[id_length]:
        return None
    size_length = 9 - head[id_length].bit_length()
    if len(head) < id_length + size_length:
        return None
    mask = (1 << (7 * size_length)) - 1
    size = int.from_bytes(head[id_length : id_length + size_length], "big") & mask
    return int.from_bytes(head[:id_length], "big"), id_length + size_length, None if size == mask else size
