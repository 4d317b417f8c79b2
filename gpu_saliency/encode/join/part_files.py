"""Reads the part files of an encode packet by packet, and checks that they can be joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import av.container
import av.video.stream
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.join.stamps import Stamps
from gpu_saliency.errors import EncodeError
from gpu_saliency.source.clip import libav_reason
from gpu_saliency.source.formats import open_file

_HEVC_SEI = (39, 40)
_CURE = "try again, or use another encoder"


def decode_order(parts: Sequence[Path], part_frames: Sequence[int]) -> NDArray[np.int64]:
    """Read the order of frames: ``[N]``, for each packet in decode order the frame's number in presentation order, over all parts.

    Raises `EncodeError` if a part has not the expected number of frames, or other coding parameters than the first part.
    """
    orders: list[NDArray[np.int64]] = []
    offset = 0
    first: dict[str, object] = {}
    for part, expected in zip(parts, part_frames, strict=True):
        with open_part(part) as container:
            video = container.streams.video[0]
            coded = _coding(video)
            numbers = [packet.pts for packet in container.demux(video) if packet.size]
        if len(numbers) != expected:
            raise EncodeError(f"ffmpeg wrote {len(numbers)} frames instead of {expected}", cure=_CURE, evidence={"part": str(part)})
        if None in numbers or len(set(numbers)) != len(numbers):
            raise EncodeError(
                f"ffmpeg wrote {part.name} with missing or repeated frame numbers, so its order is unknown", cure=_CURE
            )
        first = first or coded
        differing = [name for name in coded if coded[name] != first[name]]
        if differing:
            raise EncodeError(f"{part.name} and {parts[0].name} differ in {' and '.join(differing)}", cure=_CURE)
        ranks = np.argsort(np.argsort(np.array(numbers, np.int64)))
        orders.append(ranks.astype(np.int64) + offset)
        offset += expected
    if not offset:
        raise EncodeError("ffmpeg wrote no frames", cure=_CURE)
    return np.concatenate(orders)


def coded_alike(one: Path, other: Path) -> bool:
    """Whether two parts can be joined, by their coding parameters. Raises `EncodeError` if one cannot be read."""
    with open_part(one) as first, open_part(other) as second:
        return _coding(first.streams.video[0]) == _coding(second.streams.video[0])


def _coding(video: av.video.stream.VideoStream) -> dict[str, object]:
    """The coding parameters that must be equal in all parts, because the joined file stores them once."""
    context = video.codec_context
    return {
        "codec": context.codec.canonical_name,
        "size": (context.width, context.height),
        "pixel format": context.pix_fmt,
        "parameter sets": _parameter_sets(context.codec.canonical_name, context.extradata or b""),
    }


def _parameter_sets(codec: str, extradata: bytes) -> object:
    """The parameter sets in ``extradata``; for HEVC without the SEI in which x265 lists its settings, which decoders ignore."""
    if codec != "hevc" or len(extradata) < 23 or extradata[0] != 1:
        return extradata
    units: list[tuple[int, bytes]] = []  # ISO/IEC 14496-15, 8.3.2.1.2: the arrays of HEVCDecoderConfigurationRecord
    at = 23
    for _ in range(extradata[22]):
        kind, count = extradata[at] & 0x3F, int.from_bytes(extradata[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            if kind not in _HEVC_SEI:
                units.append((kind, extradata[at + 2 : at + 2 + size]))
            at += 2 + size
    return extradata[:22], tuple(units)


@contextmanager
def open_part(part: Path) -> Iterator[av.container.InputContainer]:
    """Open the file of a part for demuxing. Raises `EncodeError` if it, or later a packet, cannot be read."""
    try:
        # An edit list would change the frame numbers, and may hide frames.
        with open_file(part, options={"ignore_editlist": "1"}) as container:
            if not container.streams.video:
                raise EncodeError(f"ffmpeg wrote no video to {part.name}", cure=_CURE)
            yield container
    except (av.FFmpegError, FileNotFoundError) as error:
        raise EncodeError(
            f"ffmpeg wrote a file that cannot be read back: {part.name}: {libav_reason(error)}", cure=_CURE
        ) from error


def video_packets(
    parts: Sequence[Path], order: NDArray[np.int64], stamps: Stamps, stream: av.stream.Stream
) -> Iterator[av.Packet[av.stream.Stream]]:
    """Yield the packets of all parts in decode order, with the time stamps of the source."""
    numbers = enumerate(order)
    for part in parts:
        with open_part(part) as container:
            for packet in container.demux(container.streams.video[0]):
                if not packet.size:
                    continue
                decoded, shown = next(numbers)
                packet.stream = stream  # type: ignore[assignment]
                packet.time_base = stamps.time_base
                packet.pts, packet.dts = int(stamps.pts[shown]), int(stamps.dts[decoded])
                packet.duration = int(stamps.duration[shown])
                yield packet  # type: ignore[misc]
