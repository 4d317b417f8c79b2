"""`join_parts`: copies the packets of all parts, the audio and the metadata into one file.

PyAV can set the sample aspect ratio of the codec parameters, but not that of the stream, which Matroska and WebM use. H.264 and
HEVC also carry the ratio in the bitstream; for AV1 and VP9 pixel_aspect.py adds it afterwards.
"""

from __future__ import annotations

import errno
import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import av.audio.stream
import av.container
import av.stream
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.audio import AudioCoding
from gpu_saliency.encode.join.audio_coder import AudioCoder
from gpu_saliency.encode.join.part_files import decode_order, open_part, video_packets
from gpu_saliency.encode.join.stamps import MICROSECOND, Stamps, last_duration, rescale, start_time
from gpu_saliency.encode.join.streams import add_video, chapters_of, copied_packets, filtered, start_codes
from gpu_saliency.encode.streams import add_copy, cover_data, describe
from gpu_saliency.errors import EncodeError, GpuSaliencyError, OutputError, setting
from gpu_saliency.source.clip import Clip, libav_reason, open_clip, video_stream_of

# Metadata that ffmpeg does not copy either: they describe the source file, not its content.
_NOT_COPIED = frozenset({"creation_time", "company_name", "product_name", "product_version"})
# Errors of a file or a disk; libavformat's other errors are about the data.
_DISK_ERRORS = frozenset(
    {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
    | {getattr(errno, "EDQUOT", errno.ENOSPC)}  # not on Windows
)
# AVFMT_TS_NONSTRICT of libavformat; PyAV's stubs give its own name for it no usable type.
_STAMPS_MAY_REPEAT = 0x20000
# Microseconds; ffmpeg gives this value to every muxer. MPEG-TS delays its packets by it; with 0 its clock runs ahead of them.
_MUXER_OPTIONS = {"max_delay": "700000"}


def join_parts(
    parts: Sequence[Path],
    part_frames: Sequence[int],
    clip: Clip,
    output: Path,
    *,
    frame_pts: NDArray[np.int64] | None,
    time_base: Fraction,
    streams: Sequence[int],
    picture: Clip | None = None,
    rate: Fraction | None = None,
    coding: AudioCoding | None = None,
    codec_tag: str | None = None,
    field_order: int | None = None,
) -> list[str]:
    """Write ``parts`` to ``output``, in the container of its suffix; an existing file is replaced.

    ``part_frames[k]`` is the number of frames that part k must have. ``frame_pts`` ``[N]`` are the time stamps of the source's
    frames in presentation order, as in the source's container, in units of ``time_base`` (seconds), strictly rising. N is at least
    the number of frames of all parts; the stamp after the last frame gives that frame's duration. ``None`` numbers the frames from
    0 at ``clip.frame_rate``. As with ffmpeg, the earliest stream of the source begins at 0, and the others keep their distance from
    it; a clip with a start begins with its first frame. ``streams`` are the numbers of the source's streams that are copied, up to
    ``clip.duration``; ``coding`` encodes the audio among them. ``picture`` is the clip as the encoder got it, if its shape differs;
    with ``rate`` the frames follow at that rate from the time of the source's first one, and ``frame_pts`` may have any number.
    ``codec_tag`` (``hvc1``) is used for .mp4 and .mov and ignored in other containers. ``field_order`` (a number of AVFieldOrder)
    goes to containers that store one; ``None`` keeps the parts'.

    Returns a text for each loss: packets of copied streams that the muxer refused, because they are damaged.

    Memory holds a few packets and the numbers of the frames. Raises `EncodeError` if a part has not its number of frames or differs
    from the first part in its coding, or if the container cannot hold the streams; `OutputError` if ``output`` cannot be written;
    `SourceError` if the source cannot be opened; `ValueError` if the arguments contradict each other. After an error the file
    ``output`` may be incomplete.
    """
    if not parts or len(parts) != len(part_frames):
        raise ValueError(f"{len(parts)} parts, {len(part_frames)} numbers of frames")
    order = decode_order(parts, part_frames)
    if frame_pts is not None and rate is None and (len(frame_pts) < len(order) or (np.diff(frame_pts) <= 0).any()):
        raise ValueError(f"{len(frame_pts)} time stamps for {len(order)} frames, or they do not rise")
    with open_clip(clip) as source, _writing(output):
        video = video_stream_of(source, clip.stream)
        others = [source.streams[index] for index in streams]
        start = start_time(source, [video, *(other for other in others if other.type == "audio")])
        if clip.span is not None:
            # A clip with a start begins with its first frame; what is shown before that is left out.
            start = round(clip.span.seconds * av.time_base)
            if frame_pts is not None:
                start = rescale(int(frame_pts[0]), time_base, MICROSECOND)
        elif frame_pts is not None and len(frame_pts):
            # Where a demuxer found its start in a later packet, MP4 would hide the frames before it.
            start = min(start, rescale(int(frame_pts[0]), time_base, MICROSECOND))
        if rate is not None:
            begin = Fraction(0) if frame_pts is None else int(frame_pts[0]) * time_base - start * MICROSECOND
            stamps = Stamps.at_rate(order, begin, rate)
        elif frame_pts is None:
            stamps = Stamps.of(order, np.arange(len(order), dtype=np.int64), 1 / clip.frame_rate, 1)
        else:
            shifted = np.asarray(frame_pts, np.int64) - rescale(start, MICROSECOND, time_base)
            stamps = Stamps.of(order, shifted, time_base, last_duration(video, frame_pts, time_base))
        target = av.open(f"file:{output}", "w", container_options=_MUXER_OPTIONS)
        try:
            with open_part(parts[0]) as first:
                shown = clip if picture is None else picture
                video_out = add_video(target, first.streams.video[0], parts[0], shown, stamps.time_base, codec_tag, field_order)
            describe(video_out, video, without=("encoder", "rotate"))
            copies: dict[int, av.stream.Stream] = {}
            coders: dict[int, AudioCoder] = {}
            for other in others:
                if coding is not None and isinstance(other, av.audio.stream.AudioStream):
                    coders[other.index] = AudioCoder(coding, target, other)
                    describe(coders[other.index].stream, other, without=("encoder",))
                    continue
                copy = add_copy(target, other, cover_data(clip, other.index))
                if copy is not None and other.type != "attachment":
                    copies[other.index] = copy
            target.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in _NOT_COPIED})
            target.set_chapters(chapters_of(source, start, clip.length))
            coded = start_codes(target, video_out)
            pictures = video_packets(parts, order, stamps, video_out)
            copied = [pictures if coded is None else filtered(pictures, coded, video_out)]
            losses: list[str] = []
            if copies or coders:
                copied.append(copied_packets(source, copies, start, clip, losses, coders))
            refused = _write(target, heapq.merge(*copied, key=_decode_seconds), video_out.index)
        except BaseException:
            with suppress(Exception):  # an error from closing a broken file would hide its cause
                target.close()
            raise
        target.close()
        kinds = {copy.index: source.streams[index] for index, copy in copies.items()}
        kinds |= {coder.stream.index: source.streams[index] for index, coder in coders.items()}
        return losses + [_lost_packets(clip, kinds[index], *counts) for index, counts in sorted(refused.items())]


def _lost_packets(clip: Clip, stream: av.stream.Stream, refused: int, written: int) -> str:
    """The text for packets that the muxer refused. Raises `EncodeError` if those were most packets of the stream."""
    if refused > written:
        cure = f"give {setting('audio', False)}" if stream.type == "audio" else "use .mkv"
        raise EncodeError(f"{clip.path}: its {stream.type} cannot be copied: {refused} packets are damaged", cure=cure)
    return f"{refused} damaged packets of the source's stream {stream.index} ({stream.type}) were left out"


def _write(
    target: av.container.OutputContainer, packets: Iterator[av.Packet[av.stream.Stream]], picture: int
) -> dict[int, tuple[int, int]]:
    """Write ``packets`` in the time base of their streams; the muxer may shift them, where its container has no negative stamps.

    Returns the number of packets that the muxer refused, and of those that it took, for each stream that has refused ones. An error
    of the stream ``picture``, or of the disk, is raised.
    """
    refused: dict[int, int] = {}
    written: dict[int, int] = {}
    target.start_encoding()  # settles the time bases
    step = 0 if target.format.flags & _STAMPS_MAY_REPEAT else 1
    last: dict[int, int] = {}
    for packet in packets:
        index = packet.stream_index
        unit = packet.stream.time_base
        assert unit is not None
        assert packet.pts is not None
        assert packet.dts is not None
        pts, dts = (rescale(stamp, packet.time_base, unit) for stamp in (packet.pts, packet.dts))
        # Damaged audio may step back, and a coarser time base may let two stamps fall together: libavformat refuses both.
        dts = max(dts, last.get(packet.stream_index, dts - step) + step)
        last[packet.stream_index] = dts
        packet.duration = rescale(packet.duration or 0, packet.time_base, unit)
        packet.pts, packet.dts, packet.time_base = max(pts, dts), dts, unit
        try:
            target.mux_one(packet)
        except (av.FFmpegError, OSError) as error:
            if index == picture or getattr(error, "errno", None) in _DISK_ERRORS:
                raise
            refused[index] = refused.get(index, 0) + 1
        else:
            written[index] = written.get(index, 0) + 1
    return {index: (count, written.get(index, 0)) for index, count in refused.items()}


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Convert an error of libavformat to `OutputError` if the disk failed, and to `EncodeError` otherwise."""
    try:
        yield
    except GpuSaliencyError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:  # ValueError: PyAV raises it where a container cannot hold a codec
        if getattr(error, "errno", None) in _DISK_ERRORS:
            raise OutputError(
                f"{output}: cannot be written: {libav_reason(error)}", cure=f"give {setting('output')} another path"
            ) from error
        raise EncodeError(f"{output}: the parts of the encode cannot be joined: {libav_reason(error)}", cure="use .mkv") from error


def _decode_seconds(packet: av.Packet[av.stream.Stream]) -> float:
    return float((packet.dts or 0) * packet.time_base)
