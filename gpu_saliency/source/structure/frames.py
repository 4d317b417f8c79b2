"""Containers that are a sequence of frames, tags or packets: FLV, GIF, APNG, IVF, MPEG-TS and YUV4MPEG2."""

from __future__ import annotations

import re

from gpu_saliency.source.structure.file import File, cut_inside

_TRANSPORT_SIZES = (188, 192, 204)
_TRANSPORT_SYNC = 0x47


def flv_fault(file: File) -> str | None:
    """Walk the tags; each is followed by its size."""
    place = int.from_bytes(file.at(5, 4), "big") + 4
    while place < file.size:
        head = file.at(place, 11)
        size = 11 + int.from_bytes(head[1:4], "big")
        if len(head) < 11 or place + size + 4 > file.size:
            return cut_inside("a tag", place)
        # Some muxers write 0 or the size without the header of 11 bytes.
        if int.from_bytes(file.at(place + size, 4), "big") not in (size, size - 11, 0):
            return f"the file is damaged at byte {place}"
        place += size + 4
    return None


def gif_fault(file: File) -> str | None:
    """Walk all blocks to the trailer; no picture may reach beyond the screen that the file declares (GIF89a specification)."""
    head = file.at(0, 13)
    place = 13 + _table(head[10])
    screen = [int.from_bytes(head[at : at + 2], "little") for at in (6, 8)]
    while place < file.size:
        kind = file.at(place, 1)
        if kind == b";":
            return None
        if kind == b"!":
            data = place + 2
        elif kind == b",":
            picture = file.at(place + 1, 9)
            left, top, width, height = (int.from_bytes(picture[at : at + 2], "little") for at in range(0, 8, 2))
            if left + width > screen[0] or top + height > screen[1]:
                return f"the picture at byte {place} reaches beyond the {screen[0]}x{screen[1]} that the file declares"
            data = place + 11 + _table(picture[8] if len(picture) == 9 else 0)
        else:
            return f"the file is damaged at byte {place}"
        begin = place
        while True:
            size = file.at(data, 1)
            if not size:
                return cut_inside("a block", begin)
            data += 1 + size[0]
            if not size[0]:
                break
        place = data
    return "the file has no trailer"


def _table(flags: int) -> int:
    """Bytes of the colour table that ``flags`` announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def apng_fault(file: File) -> str | None:
    """Walk the chunks to the last one; ``acTL`` has the number of frames, each of which has an ``fcTL`` (PNG specification)."""
    place, declared, frames = 8, 0, 0
    while place < file.size:
        head = file.at(place, 12)
        kind = head[4:8]
        if kind == b"IEND":
            return f"it declares {declared} frames and has {frames}" if frames < declared else None
        if kind == b"acTL":
            declared = int.from_bytes(head[8:12], "big")
        frames += kind == b"fcTL"
        place += 12 + int.from_bytes(head[:4], "big")
    return "the file has no end chunk"


def ivf_fault(file: File) -> str | None:
    """Walk the frames."""
    place = int.from_bytes(file.at(6, 2), "little")
    while place < file.size:
        head = file.at(place, 12)
        size = int.from_bytes(head[:4], "little")
        if len(head) < 12 or place + 12 + size > file.size:
            return cut_inside("a frame", place)
        place += 12 + size
    return None


def transport_fault(file: File) -> str | None:
    """Compare the size with that of the transport packets (188 bytes; 192 with time stamps, 204 with parity)."""
    head = file.at(0, 2048)
    for start in range(min(len(head), 512)):
        for size in _TRANSPORT_SIZES:
            syncs = head[start::size]
            if len(syncs) > 4 and all(byte == _TRANSPORT_SYNC for byte in syncs):
                first = start - 4 if size == 192 else start
                return "the file ends inside a transport packet" if (file.size - first) % size else None
    return None


def y4m_fault(file: File) -> str | None:
    """Walk the frames (mjpegtools, yuv4mpeg(5))."""
    head = file.at(0, 256).partition(b"\n")[0]
    size = _y4m_bytes(head.decode("latin-1"))
    place = len(head) + 1
    while size and place < file.size:
        frame = file.at(place, 128).partition(b"\n")[0]
        if not frame.startswith(b"FRAME"):
            return f"the file is damaged at byte {place}"
        begin, place = place, place + len(frame) + 1 + size
        if place > file.size:
            return cut_inside("a frame", begin)
    return None


def _y4m_bytes(head: str) -> int:
    """Bytes of a frame; 0 for a layout that is not known here."""
    fields = {word[0]: word[1:] for word in head.split()[1:]}
    layout = re.fullmatch(r"(mono|420|422|444|411)(alpha|jpeg|mpeg2|paldv)?(?:p?(\d\d))?", fields.get("C", "420"))
    if layout is None or not fields.get("W", "").isdigit() or not fields.get("H", "").isdigit():
        return 0
    width, height = int(fields["W"]), int(fields["H"])
    kind, variant, depth = layout.groups()
    across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "411": (4, 1), "mono": (0, 0)}[kind]
    chroma = 2 * -(-width // across) * -(-height // down) if across else 0
    planes = width * height * (2 if variant == "alpha" else 1) + chroma
    return planes * (2 if depth and int(depth) > 8 else 1)
