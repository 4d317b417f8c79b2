"""Where boxes, packets and declarations lie in a clip, so that mutations can aim at them; by the formats' specifications."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av


@dataclass(frozen=True, slots=True)
class Box:
    """A box, element, chunk, tag, page or object, with the place of its size."""

    name: str
    start: int
    body: int
    end: int
    """As declared; may lie behind the end of the file."""
    size_at: int = 0
    size_format: str = ""
    """`struct` format of the size; empty where it has no simple one."""


@dataclass(frozen=True, slots=True)
class Field:
    """A number in a header."""

    what: str
    """``count``, ``duration`` or ``size``."""
    at: int
    format: str


@dataclass(slots=True)
class Layout:
    """What is known of a clip's bytes."""

    boxes: list[Box] = field(default_factory=list)
    packets: list[tuple[int, int]] = field(default_factory=list)
    """Start and end of those packets that lie in one piece."""
    fields: list[Field] = field(default_factory=list)

    def inside(self, at: int) -> str:
        """The packet or box that a cut at ``at`` divides; empty where the cut is clean, as far as the layout is known."""
        for start, end in self.packets:
            if start < at < end:
                return f"inside the packet at {start}"
        divided = [box for box in self.boxes if box.start < at < box.end]
        return f"inside {divided[-1].name} at {divided[-1].start}" if divided else ""


def read_layout(path: Path) -> Layout:
    """Describe the intact clip at ``path``."""
    data = path.read_bytes()
    found = Layout(packets=_packets(path, data))
    for start, read in _READERS.items():
        if data[start[0] : start[0] + len(start[1])] == start[1]:
            found.boxes = sorted(read(data), key=lambda box: (box.start, -box.end))
            break
    found.fields = list(_fields(data, found.boxes))
    return found


def _packets(path: Path, data: bytes) -> list[tuple[int, int]]:
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pos is not None and packet.pos >= 0:
                content = bytes(packet)
                at = data.find(content, packet.pos, packet.pos + len(content) + 64)
                if at >= 0:
                    found.append((at, at + len(content)))
    return sorted(found)


_NESTED = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"mvex", b"moof", b"traf", b"dinf"}


def _mp4(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        size = size or end - start
        if size < 8:
            return
        yield Box(kind.decode("latin-1"), start, start + 8, start + size, start, ">I")
        if kind in _NESTED:
            yield from _mp4(data, start + 8, min(end, start + size))
        start += size


_NESTED_ELEMENTS = {0x18538067: "Segment", 0x1F43B675: "Cluster", 0x1549A966: "Info", 0x1654AE6B: "Tracks", 0xAE: "TrackEntry"}
_NESTED_ELEMENTS |= {0xE0: "Video", 0x1254C367: "Tags", 0x7373: "Tag", 0x1C53BB6B: "Cues"}


def _number(data: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """Value and length of an EBML number; an identifier keeps its mark."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length() if first else 9
    if length > 8 or at + length > len(data):
        return -1, 1
    value = int.from_bytes(data[at : at + length], "big")
    return (value if marked else value & ((1 << 7 * length) - 1)), length


def _ebml(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    end = len(data) if end is None else end
    while start + 2 <= end:
        kind, key_length = _number(data, start, marked=True)
        size, length = _number(data, start + key_length, marked=False)
        if kind < 0 or size < 0:
            return
        body = start + key_length + length
        formats = {1: ">B", 2: ">H", 4: ">I", 8: ">Q"}
        yield Box(_NESTED_ELEMENTS.get(kind, f"{kind:X}"), start, body, body + size, start + key_length, formats.get(length, ""))
        if kind in _NESTED_ELEMENTS:
            yield from _ebml(data, body, min(end, body + size))
        start = body + size


def _riff(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    end = len(data) if end is None else end
    while start + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, start)
        yield Box(kind.decode("latin-1"), start, start + 8, start + 8 + size, start + 4, "<I")
        if kind in (b"RIFF", b"LIST"):
            yield from _riff(data, start + 12, min(end, start + 8 + size))
        start += 8 + size + size % 2


def _flv(data: bytes) -> Iterator[Box]:
    at = 13
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        yield Box(f"tag {data[at]}", at, at + 11, at + 15 + size, at, ">I")
        at += 15 + size


def _asf(data: bytes) -> Iterator[Box]:
    at = 0
    while at + 24 <= len(data):
        size: int = struct.unpack_from("<Q", data, at + 16)[0]
        if size < 24:
            return
        yield Box("object", at, at + 24, at + size, at + 16, "<Q")
        at += size


def _png(data: bytes) -> Iterator[Box]:
    at = 8
    while at + 12 <= len(data):
        size: int = struct.unpack_from(">I", data, at)[0]
        yield Box(data[at + 4 : at + 8].decode("latin-1"), at, at + 8, at + 12 + size, at, ">I")
        at += 12 + size


def _ogg(data: bytes) -> Iterator[Box]:
    at = 0
    while (at := data.find(b"OggS", at)) >= 0 and at + 27 <= len(data):
        segments = data[at + 26]
        body = at + 27 + segments
        yield Box("page", at, body, body + sum(data[at + 27 : body]), at + 26, ">B")
        at = body


def _mxf(data: bytes) -> Iterator[Box]:
    at = 0
    while at + 17 <= len(data):
        first = data[at + 16]
        length = first & 0x7F if first & 0x80 else 0
        size = int.from_bytes(data[at + 17 : at + 17 + length], "big") if length else first
        body = at + 17 + length
        yield Box("KLV", at, body, body + size, at + 17, {4: ">I", 8: ">Q"}.get(length, ""))
        at = body + size


def _ivf(data: bytes) -> Iterator[Box]:
    at = 32
    while at + 12 <= len(data):
        size: int = struct.unpack_from("<I", data, at)[0]
        yield Box("frame", at, at + 12, at + 12 + size, at, "<I")
        at += 12 + size


def _y4m(data: bytes) -> Iterator[Box]:
    at = data.find(b"FRAME\n")
    while at >= 0:
        after = data.find(b"FRAME\n", at + 160 * 96 * 3 // 2)
        yield Box("frame", at, at + 6, after if after >= 0 else len(data))
        at = after


def _ts(data: bytes) -> Iterator[Box]:
    for at in range(0, len(data) - 187, 188):
        yield Box("packet", at, at + 4, at + 188)


_READERS: dict[tuple[int, bytes], Callable[[bytes], Iterator[Box]]] = {
    (4, b"ftyp"): _mp4,
    (0, b"\x1a\x45\xdf\xa3"): _ebml,
    (0, b"RIFF"): _riff,
    (0, b"FLV"): _flv,
    (0, bytes.fromhex("3026b2758e66cf11")): _asf,
    (0, b"\x89PNG"): _png,
    (0, b"OggS"): _ogg,
    (0, bytes.fromhex("060e2b34")): _mxf,
    (0, b"DKIF"): _ivf,
    (0, b"YUV4MPEG2"): _y4m,
    (0, b"\x47\x40"): _ts,
}
# Offsets in the body of a box.
_BOX_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "mvhd": (("duration", 12, ">I"), ("duration", 16, ">I")),
    "tkhd": (("duration", 20, ">I"), ("size", 76, ">I"), ("size", 80, ">I")),
    "mdhd": (("duration", 12, ">I"), ("duration", 16, ">I")),
    "elst": (("duration", 8, ">I"), ("duration", 12, ">i")),
    "stsz": (("count", 8, ">I"), ("count", 4, ">I")),
    "stts": (("count", 4, ">I"), ("count", 8, ">I"), ("duration", 12, ">I")),
    "stss": (("count", 4, ">I"),),
    "stco": (("count", 4, ">I"),),
    "stsc": (("count", 4, ">I"), ("count", 12, ">I")),
    "stsd": (("size", 40, ">H"), ("size", 42, ">H")),
    "trun": (("count", 4, ">I"),),
    "tfhd": (("duration", 8, ">I"),),
    "4489": (("duration", 0, ">d"),),
    "2AD7B1": (("duration", 0, ">B"),),
    "23E383": (("duration", 0, ">I"),),
    "B0": (("size", 0, ">B"),),
    "BA": (("size", 0, ">B"),),
    "avih": (("duration", 0, "<I"), ("count", 16, "<I"), ("size", 32, "<I"), ("size", 36, "<I")),
    "strh": (("duration", 20, "<I"), ("duration", 24, "<I"), ("count", 32, "<I")),
    "strf": (("size", 4, "<I"), ("size", 8, "<I")),
    "IHDR": (("size", 0, ">I"), ("size", 4, ">I")),
    "acTL": (("count", 0, ">I"),),
    "fcTL": (("size", 4, ">I"), ("duration", 20, ">H"), ("duration", 22, ">H")),
}
# Offsets in the file, by its first bytes.
_FILE_FIELDS: dict[bytes, tuple[tuple[str, int, str], ...]] = {
    b"DKIF": (("size", 12, "<H"), ("size", 14, "<H"), ("duration", 16, "<I"), ("duration", 20, "<I"), ("count", 24, "<I")),
    b"GIF8": (("size", 6, "<H"), ("size", 8, "<H")),
}


def _fields(data: bytes, boxes: list[Box]) -> Iterator[Field]:
    for box in boxes:
        for what, at, form in _BOX_FIELDS.get(box.name, ()):
            if box.body + at + struct.calcsize(form) <= len(data):
                yield Field(what, box.body + at, form)
    for what, at, form in _FILE_FIELDS.get(data[:4], ()):
        yield Field(what, at, form)
    if data[:3] == b"FLV":
        for name, what in ((b"duration", "duration"), (b"framerate", "duration"), (b"width", "size"), (b"height", "size")):
            at = data.find(name + b"\0")
            if at >= 0:
                yield Field(what, at + len(name) + 1, ">d")
