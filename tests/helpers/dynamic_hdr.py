"""Clips with hand-made dynamic HDR metadata; decoders ignore their content."""

from __future__ import annotations

from pathlib import Path

from clips import ffmpeg

from gpu_saliency.source.nal_units import obus

HDR = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")


def _hdr10_plus() -> bytes:
    """The shortest message of SMPTE ST 2094-40: one window, no percentiles, no tone mapping; libdav1d refuses broken ones."""
    widths = ((1, 2), (400, 27), (0, 1), (1000, 17), (1000, 17), (1000, 17), (500, 17), (0, 4), (0, 10), (0, 1), (0, 1), (0, 1))
    bits = "".join(f"{value:0{width}b}" for value, width in widths)
    bits += "0" * (-len(bits) % 8)
    return bytes.fromhex("b5003c00010401") + int(bits, 2).to_bytes(len(bits) // 8, "big")


MESSAGES = {
    "HDR10+": _hdr10_plus(),
    "Dolby Vision": bytes.fromhex("b5003b00000800371b3f"),
    "HDR Vivid": bytes.fromhex("260004000501203040"),
    "SMPTE ST 2094-10": bytes.fromhex("b5003147413934" + "0901020304"),
}


def hevc(folder: Path, suffix: str = ".hevc", frames: int = 24) -> Path:
    """A 10-bit HEVC clip in PQ with static metadata."""
    path = folder / f"hdr{suffix}"
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    params = f"log-level=error:hdr10=1:master-display={display}:max-cll=1000,400"
    source = f"testsrc2=size=160x96:rate=24:duration={frames / 24}"
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", params)
    ffmpeg("-f", "lavfi", "-i", source, *codec, *HDR, path)
    return path


def insert_units(path: Path, unit: bytes) -> Path:
    """Put ``unit`` before the first NAL unit of each picture of an HEVC file with start codes."""
    pieces = path.read_bytes().replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    out = b""
    for piece in pieces:
        kind, first = piece[0] >> 1 & 0x3F, piece[2] & 0x80
        if kind < 32 and first:
            out += b"\0\0\0\1" + unit
        out += b"\0\0\0\1" + piece
    made = path.with_name("with-units.hevc")
    made.write_bytes(out)
    return made


def insert_obus(data: bytes, obu: bytes) -> bytes:
    """Put ``obu`` before the first frame of each temporal unit of an AV1 stream."""
    out, at, is_due = b"", 0, False
    for kind, payload in obus(data):
        begin = data.index(payload, at) if payload else at + 2
        end = begin + len(payload)
        is_due |= kind == 2
        if kind in (3, 6) and is_due:
            out, is_due = out + obu, False
        out, at = out + data[at:end], end
    return out


def sei(message: bytes, kind: int = 39) -> bytes:
    """A NAL unit with one SEI message of data registered by ITU-T T.35."""
    payload = bytes([4, len(message)]) + message + b"\x80"
    return bytes([kind << 1, 1]) + payload.replace(b"\0\0\0", b"\0\0\3\0").replace(b"\0\0\1", b"\0\0\3\1")


def remux(path: Path, output: Path) -> Path:
    """Copy the raw stream ``path`` to a container; only .mp4 takes packets without time stamps."""
    stamped = output.with_suffix(".stamped.mp4")
    ffmpeg("-r", 24, "-i", path, "-c", "copy", stamped)
    ffmpeg("-i", stamped, "-c", "copy", output)
    stamped.unlink()
    return output


def with_record(folder: Path, name: str = "dvcC") -> Path:
    """An .mp4 whose sample entry has a Dolby Vision configuration record and whose packets have no metadata."""
    base = hevc(folder, ".mp4")
    data = base.read_bytes()
    record = b"\0\0\0\x20" + name.encode() + bytes([1, 0, 8 << 1, 0x15, 0x10]) + bytes(19)
    at = data.index(b"hvcC") - 4
    at += int.from_bytes(data[at : at + 4], "big")
    changed = bytearray(data[:at] + record + data[at:])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1"):
        start = changed.index(box) - 4
        size = int.from_bytes(changed[start : start + 4], "big") + len(record)
        changed[start : start + 4] = size.to_bytes(4, "big")
    path = folder / f"{name}.mp4"
    path.write_bytes(changed)
    return path
