"""Finds HDR metadata that change from frame to frame: HDR10+, HDR Vivid, SMPTE 2094-10 and Dolby Vision. An encode loses them.

They are in the packets (SEI messages, metadata OBUs, side data of the container) or announced by the container (Dolby Vision's
configuration record). Static metadata (mastering display, light level) are not meant here: encodes keep them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import av
import av.container
import av.video.stream

from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.nal_units import length_size, nal_units, obus, unescape
from gpu_saliency.source.reading import ended

HDR10_PLUS, DOLBY_VISION, VIVID, OTHER = "HDR10+", "Dolby Vision", "HDR Vivid", "SMPTE ST 2094-10"
_PACKETS = 24
"""Packets at each place that are searched; every frame has its own metadata."""
_PLACES = 3
_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "vvc"})
_SDR_BITS = 8
"""H.264 of this depth has no metadata in its packets; Dolby Vision's profile 9 has a record."""
_TAGS = frozenset({"dvh1", "dvhe", "dav1", "dvav", "dva1"})
_HEVC_SEI_PREFIX, _HEVC_SEI_SUFFIX, _HEVC_RPU = 39, 40, 62
_H264_SEI, _AV1_METADATA, _AV1_T35 = 6, 5, 4
_SEI_T35 = 4
_HEADING = 8
"""Length in bytes of the heading of a box: size and type."""
# ITU-T T.35: country, terminal provider, provider-oriented code, and its meaning.
_T35 = (
    (b"\xb5\x00\x3c\x00\x01", HDR10_PLUS),
    (b"\xb5\x00\x3b\x00\x00\x08\x00", DOLBY_VISION),
    (b"\x26\x00\x04\x00\x05", VIVID),
    (b"\xb5\x00\x31GA94\x09", OTHER),
)
_RECORDS = re.compile(rb"(?:\0\0\0[\x18-\x40]|\x41\xe7\x84)(?:dvcC|dvvC|dvwC)")
"""A configuration record: the box of .mp4 with its size, or the mapping's type in Matroska (BlockAddIDType, 0x41E7)."""
_HEAD = 1 << 22
"""Bytes of a Matroska file in which its track headers are searched."""
_MOST_HEADER = 1 << 28
"""Bytes of a box ``moov`` that are read at most."""


def dynamic_hdr(clip: Clip) -> tuple[str, ...]:
    """Names of the dynamic HDR metadata of ``clip``, sorted; empty without any. Decodes nothing. Raises `SourceError`."""
    if clip.is_raw or clip.codec not in _CODECS:
        return ()
    found = {DOLBY_VISION} if _has_record(clip.path) else set()
    if clip.codec != "h264" or av.VideoFormat(clip.pix_fmt).components[0].bits > _SDR_BITS:
        with open_clip(clip) as container:
            video = video_stream_of(container, clip.stream)
            if video.codec_context.codec_tag in _TAGS:
                found.add(DOLBY_VISION)
            found.update(_in_packets(container, video, clip.codec))
    return tuple(sorted(found))


def _in_packets(container: av.container.InputContainer, video: av.video.stream.VideoStream, codec: str) -> Iterator[str]:
    """Search the first packets, and some at further places."""
    lengths = length_size(codec, video.codec_context.extradata)
    for place in range(_PLACES):
        try:
            if place:
                if not container.duration:
                    return
                container.seek((container.start_time or 0) + container.duration * place // _PLACES)
            with ended(container.demux(video)) as packets:
                for packet in islice(packets, _PACKETS if place == 0 else 2):
                    if packet.has_sidedata("dynamic_hdr10_plus"):
                        yield HDR10_PLUS
                    if packet.has_sidedata("dovi_conf"):
                        yield DOLBY_VISION
                    yield from _in_packet(bytes(packet), codec, lengths)
        except av.FFmpegError:  # the analysis reports a damaged source
            return


def _in_packet(data: bytes, codec: str, lengths: int) -> Iterator[str]:
    if codec == "av1":
        yield from _names(payload[1:] for kind, payload in obus(data) if kind == _AV1_METADATA and payload[:1] == bytes([_AV1_T35]))
    if codec not in ("hevc", "h264"):
        return
    for unit in nal_units(data, lengths):
        kind = (unit[0] >> 1) & 0x3F if codec == "hevc" else unit[0] & 0x1F
        if codec == "hevc" and kind == _HEVC_RPU:
            yield DOLBY_VISION
        if kind in ((_HEVC_SEI_PREFIX, _HEVC_SEI_SUFFIX) if codec == "hevc" else (_H264_SEI,)):
            yield from _names(_t35_messages(unescape(unit[2 if codec == "hevc" else 1 :])))


def _t35_messages(data: bytes) -> Iterator[bytes]:
    """The payloads of the SEI messages with data registered by ITU-T T.35 (H.264 and H.265, 7.3.2.3)."""
    at = 0
    while at + 2 < len(data):
        values = []
        for _ in range(2):
            value = 0
            while at < len(data) and data[at] == 0xFF:
                value += 255
                at += 1
            if at >= len(data):
                return
            values.append(value + data[at])
            at += 1
        if values[0] == _SEI_T35:
            yield data[at : at + values[1]]
        at += values[1]


def _names(payloads: Iterable[bytes]) -> Iterator[str]:
    for payload in payloads:
        yield from (name for start, name in _T35 if payload.startswith(start))


def _has_record(path: Path) -> bool:
    """Whether the headers of the .mp4 or Matroska file ``path`` have a Dolby Vision configuration record."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return bool(_RECORDS.search(head))
        if head[4:8] not in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip"):
            return False
        at = 0
        while True:
            file.seek(at)
            heading = file.read(16)
            if len(heading) < _HEADING:
                return False
            size = int.from_bytes(heading[:4], "big")
            size = int.from_bytes(heading[8:], "big") if size == 1 else size
            if heading[4:8] == b"moov":
                file.seek(at)
                return bool(_RECORDS.search(file.read(min(size, _MOST_HEADER) if size else _MOST_HEADER)))
            if size < _HEADING:
                return False
            at += size
