"""Joining the numbered parts of an encode to one file, with the source's own time stamps, audio and metadata.

A part is what one run of an encoder made of some consecutive frames: a video-only file in which the frames are merely numbered.
Here their packets are copied, behind one another, and get the stamps of the source's frames; nothing is encoded again.

What PyAV cannot do: it sets the sample aspect ratio of the codec parameters but not that of the stream, which is what Matroska and
WebM take theirs from. H.264 and HEVC also carry it in the bitstream; for AV1 and VP9 shape.py adds it. And where PyAV has
no ``set_display_rotation`` (16.0 has none) it cannot turn the picture of an .ivf part: that is an error here.
"""

from __future__ import annotations

import errno
import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.container
import av.video.stream
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import EncodeError, GpuSaliencyError, OutputError, setting
from gpu_saliency.source.clip import Clip, open_clip

if TYPE_CHECKING:  # it exists in PyAV's stubs alone
    from av.container.core import Chapter

_MICROSECOND = Fraction(1, av.time_base)
# ffmpeg leaves these out of the metadata that it copies: they tell of the source file, not of what is in it.
_NOT_COPIED = frozenset({"creation_time", "company_name", "product_name", "product_version"})
_CODEC_TAG_FORMATS = frozenset({"mp4", "mov", "ipod", "ismv", "3gp", "3g2", "f4v"})
# What the operating system says of a file and a disk; all else is libavformat's opinion of what it is given.
_DISK_ERRORS = frozenset(
    {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
    | {getattr(errno, "EDQUOT", errno.ENOSPC)}  # not on Windows
)
# AVFMT_TS_DISCONT and AVFMT_TS_NONSTRICT of libavformat; PyAV's stubs give its own names for them no usable type.
_STAMPS_MAY_JUMP = 0x0200
_STAMPS_MAY_REPEAT = 0x20000
# The microseconds that ffmpeg gives every muxer. MPEG-TS begins so much later; with none its clock runs ahead of its packets.
_MUXER_OPTIONS = {"max_delay": "700000"}
_HEVC_SEI = (39, 40)


def join_parts(
    parts: Sequence[Path],
    part_frames: Sequence[int],
    clip: Clip,
    output: Path,
    *,
    frame_pts: NDArray[np.int64] | None,
    time_base: Fraction,
    audio: bool,
    codec_tag: str | None = None,
) -> None:
    """Write ``output``, in the container that its suffix names, from ``parts``; an existing file is replaced.

    ``part_frames[k]`` frames are expected in part k. ``frame_pts`` ``[N]`` are the time stamps of the source's frames in
    presentation order, as the source's container states them, in units of ``time_base`` (seconds), strictly rising, N no less
    than the frames of all parts together; what it has beyond tells how long the last frame lasts. ``None`` counts the frames
    at ``clip.frame_rate`` from 0. As with ffmpeg, the earliest stream of the source begins at 0, and the others keep their
    distance from it. ``audio`` copies all audio streams, up to ``clip.duration``. ``codec_tag`` (``hvc1``) is for .mp4 and .mov
    and passed over elsewhere.

    Memory holds a few packets and the numbers of the frames. Raises `EncodeError` if a part does not hold its frames or does not
    fit the first one, if the streams do not fit the container; `OutputError` if ``output`` cannot be written; `SourceError` if
    the source cannot be opened; `ValueError` if the arguments contradict each other. A broken ``output`` may be left behind.
    """
    if not parts or len(parts) != len(part_frames):
        raise ValueError(f"{len(parts)} parts, {len(part_frames)} numbers of frames")
    order = _decode_order(parts, part_frames)
    if frame_pts is not None and (len(frame_pts) < len(order) or (np.diff(frame_pts) <= 0).any()):
        raise ValueError(f"{len(frame_pts)} time stamps for {len(order)} frames, or they do not rise")
    with open_clip(clip) as source, _writing(output):
        video = next(s for s in source.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        sounds = list(source.streams.audio) if audio else []
        start = _start_time(source, [video, *sounds])
        if frame_pts is None:
            timeline = _Timeline.of(order, np.arange(len(order), dtype=np.int64), 1 / clip.frame_rate, 1)
        else:
            shifted = np.asarray(frame_pts, np.int64) - _rescale(start, _MICROSECOND, time_base)
            timeline = _Timeline.of(order, shifted, time_base, _last_duration(video, frame_pts, time_base))
        target = av.open(f"file:{output}", "w", container_options=_MUXER_OPTIONS)
        try:
            with _open_part(parts[0]) as first:
                picture = _add_video(target, first.streams.video[0], parts[0], clip, timeline.time_base, codec_tag)
            _describe(picture, video, without=("encoder", "rotate"))
            copies: dict[int, av.stream.Stream] = {}
            for sound in sounds:
                copies[sound.index] = target.add_stream_from_template(sound)
                _describe(copies[sound.index], sound)
            target.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in _NOT_COPIED})
            target.set_chapters(_chapters(source, start, clip.duration))
            packets = [_video_packets(parts, order, timeline, picture)]
            if sounds:
                packets.append(_audio_packets(source, copies, start, clip))
            _write(target, heapq.merge(*packets, key=_decode_seconds))
        except BaseException:
            with suppress(Exception):  # what closing says of a file that is broken already would hide why it is
                target.close()
            raise
        target.close()


@dataclass(frozen=True, slots=True)
class _Timeline:
    """The stamps of the joined video, in units of ``time_base``; each ``[N]`` int64."""

    time_base: Fraction
    pts: NDArray[np.int64]
    """By number in presentation order."""
    duration: NDArray[np.int64]
    """By number in presentation order."""
    dts: NDArray[np.int64]
    """By number in decode order."""

    @classmethod
    def of(cls, order: NDArray[np.int64], stamps: NDArray[np.int64], time_base: Fraction, last: int | None) -> _Timeline:
        """``order`` ``[N]``: presentation numbers in decode order; ``stamps`` ``[>= N]`` rise; ``last``: the last duration."""
        count = len(order)
        pts = stamps[:count]
        gaps = np.diff(stamps[: count + 1])
        if len(gaps) < count:
            usual = int(np.median(gaps)) if len(gaps) else 1
            gaps = np.append(gaps, np.int64(last or max(1, usual)))
        # A packet may be decoded as many frames late as the deepest reordering asks; the same everywhere, or dts would not rise.
        delay = int((np.arange(count) - order).max())
        lead = pts[0] - gaps[0] * np.arange(delay, 0, -1)
        return cls(time_base, pts, gaps, np.concatenate([lead, pts])[:count])


def _last_duration(video: av.video.stream.VideoStream, frame_pts: NDArray[np.int64], time_base: Fraction) -> int | None:
    """How long the source's last frame lasts, if its container says when the stream ends; in units of ``time_base``."""
    if video.duration is None or video.start_time is None or not video.time_base or not len(frame_pts):
        return None
    rest = _rescale(video.start_time + video.duration, video.time_base, time_base) - int(frame_pts[-1])
    # A declared end that does not belong to these frames (a cut, a damaged header) is worth nothing.
    longest = int(np.diff(frame_pts).max()) if len(frame_pts) > 1 else rest
    return rest if 0 < rest <= 2 * longest else None


def _start_time(source: av.container.InputContainer, used: Sequence[av.stream.Stream]) -> int:
    """What ffmpeg subtracts from all time stamps of ``source``, microseconds."""
    if source.format.flags & _STAMPS_MAY_JUMP:  # MPEG-TS: ffmpeg then looks only at the streams that it uses
        starts = [_rescale(s.start_time, s.time_base, _MICROSECOND) for s in used if s.start_time is not None and s.time_base]
        return min(starts, default=0)
    return source.start_time or 0


def _decode_order(parts: Sequence[Path], part_frames: Sequence[int]) -> NDArray[np.int64]:
    """``[N]``: the number, in presentation order over all parts, of each packet in decode order.

    Raises `EncodeError` if a part holds another number of frames, or is coded with other parameters than the first.
    """
    orders: list[NDArray[np.int64]] = []
    offset = 0
    first: dict[str, object] = {}
    for part, expected in zip(parts, part_frames, strict=True):
        with _open_part(part) as container:
            video = container.streams.video[0]
            coded = _coding(video)
            stamps = [packet.pts for packet in container.demux(video) if packet.size]
        if len(stamps) != expected:
            raise EncodeError(f"ffmpeg wrote {len(stamps)} frames, {expected} were asked of it", evidence={"part": str(part)})
        if None in stamps or len(set(stamps)) != len(stamps):
            raise EncodeError(f"ffmpeg wrote frames that cannot be put in order: {part.name} does not number each of them")
        first = first or coded
        differing = [name for name in coded if coded[name] != first[name]]
        if differing:
            raise EncodeError(f"{part.name} does not fit {parts[0].name}: they differ in {' and '.join(differing)}")
        ranks = np.argsort(np.argsort(np.array(stamps, np.int64)))
        orders.append(ranks.astype(np.int64) + offset)
        offset += expected
    if not offset:
        raise EncodeError("ffmpeg wrote not one frame")
    return np.concatenate(orders)


def _coding(video: av.video.stream.VideoStream) -> dict[str, object]:
    """What must be the same in all parts, as the joined file says it once."""
    context = video.codec_context
    return {
        "codec": context.codec.canonical_name,
        "size": (context.width, context.height),
        "pixel format": context.pix_fmt,
        "parameter sets": _parameter_sets(context.codec.canonical_name, context.extradata or b""),
    }


def _parameter_sets(codec: str, extradata: bytes) -> object:
    """``extradata``, of HEVC without the SEI in which x265 lists its settings: what differs there changes no decoding."""
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
def _open_part(part: Path) -> Iterator[av.container.InputContainer]:
    """Open a part for demuxing; whatever fails in reading it is an `EncodeError`."""
    try:
        # The edit list hides how the frames are numbered, and may hide frames.
        with av.open(f"file:{part}", options={"ignore_editlist": "1"}) as container:
            if not container.streams.video:
                raise EncodeError(f"ffmpeg wrote no video to {part.name}")
            yield container
    except (av.FFmpegError, FileNotFoundError) as error:
        raise EncodeError(f"ffmpeg wrote a file that cannot be read back: {part.name}: {_reason(error)}") from error


def _add_video(
    target: av.container.OutputContainer,
    template: av.video.stream.VideoStream,
    part: Path,
    clip: Clip,
    time_base: Fraction,
    codec_tag: str | None,
) -> av.video.stream.VideoStream:
    """The video stream of ``target``, coded as ``template`` is, with its colour tags, aspect ratio and display matrix."""
    # opaque: PyAV otherwise looks for an encoder of the decoder's name, and there is none named libdav1d or vvc.
    stream = target.add_stream_from_template(template, opaque=True)
    stream.time_base = time_base
    context = stream.codec_context
    context.framerate = clip.frame_rate
    if codec_tag is not None and target.format.name in _CODEC_TAG_FORMATS:
        context.codec_tag = codec_tag
    # Of AV1 and VP9, the codec parameters of an .mp4 do not have the aspect ratio that its stream has.
    context.sample_aspect_ratio = clip.sample_aspect_ratio
    if clip.rotation and part.suffix.lower() == ".ivf":  # which has no place for it; from .mp4 it comes with the parameters
        if not hasattr(stream, "set_display_rotation"):
            raise EncodeError(f"PyAV {av.__version__} cannot keep the rotation of {clip.path}", cure="pip install 'av>=18'")
        stream.set_display_rotation(clip.rotation)
    encoder = template.metadata.get("encoder")
    if encoder:
        stream.metadata["encoder"] = encoder
    return stream


def _describe(stream: av.stream.Stream, source: av.stream.Stream, without: tuple[str, ...] = ()) -> None:
    """Give ``stream`` the language, the title, and all else that the source says of its own."""
    stream.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in without})
    stream.disposition = source.disposition.value  # type: ignore[assignment]  # PyAV 16 takes nothing but the number


def _chapters(source: av.container.InputContainer, start: int, duration: float) -> list[Chapter]:
    """The chapters, moved by ``start`` microseconds as all else, those before ``duration`` seconds."""
    kept: list[Chapter] = []
    for chapter in source.chapters():
        unit = chapter["time_base"]
        if not unit:
            continue
        offset = _rescale(start, _MICROSECOND, unit)
        begin, end = max(0, chapter["start"] - offset), chapter["end"] - offset
        if duration:
            end = min(end, _rescale(round(duration * av.time_base), _MICROSECOND, unit))
        if begin < end:
            kept.append({**chapter, "start": begin, "end": end})
    return kept


def _video_packets(
    parts: Sequence[Path], order: NDArray[np.int64], timeline: _Timeline, stream: av.stream.Stream
) -> Iterator[av.Packet[av.stream.Stream]]:
    """The packets of all parts with the stamps of the source, in decode order."""
    numbers = enumerate(order)
    for part in parts:
        with _open_part(part) as container:
            for packet in container.demux(container.streams.video[0]):
                if not packet.size:
                    continue
                decoded, shown = next(numbers)
                packet.stream = stream  # type: ignore[assignment]
                packet.time_base = timeline.time_base
                packet.pts, packet.dts = int(timeline.pts[shown]), int(timeline.dts[decoded])
                packet.duration = int(timeline.duration[shown])
                yield packet  # type: ignore[misc]


def _audio_packets(
    source: av.container.InputContainer, copies: dict[int, av.stream.Stream], start: int, clip: Clip
) -> Iterator[av.Packet[av.stream.Stream]]:
    """The packets of the streams that ``copies`` maps to those of the output, moved by ``start`` microseconds.

    Ends with ``clip.duration`` as ffmpeg's option -t does: that packet is the first to go whose dts reaches it.
    """
    following: dict[int, int] = {}
    running = set(copies)
    try:
        for packet in source.demux([source.streams[index] for index in copies]):
            index = packet.stream.index
            if not packet.size or index not in running:
                continue
            offset = _rescale(start, _MICROSECOND, packet.time_base)
            dts = packet.dts if packet.dts is not None else packet.pts
            dts = dts - offset if dts is not None else following.get(index, 0)
            following[index] = dts + (packet.duration or 0)
            if clip.duration and _rescale(dts, packet.time_base, _MICROSECOND) >= round(clip.duration * av.time_base):
                running.discard(index)
                if not running:
                    return
                continue
            packet.pts, packet.dts = packet.pts - offset if packet.pts is not None else dts, dts
            packet.stream = copies[index]
            yield packet
    except av.FFmpegError as error:
        raise EncodeError(
            f"{clip.path}: its audio cannot be copied: {_reason(error)}", cure=f"give {setting('audio', False)}"
        ) from error


def _write(target: av.container.OutputContainer, packets: Iterator[av.Packet[av.stream.Stream]]) -> None:
    """Write ``packets``, moved in time by the muxer alone, where its container knows no negative stamps."""
    target.start_encoding()  # settles the time bases
    step = 0 if target.format.flags & _STAMPS_MAY_REPEAT else 1
    last: dict[int, int] = {}
    for packet in packets:
        unit = packet.stream.time_base
        assert unit is not None
        assert packet.pts is not None
        assert packet.dts is not None
        pts, dts = (_rescale(stamp, packet.time_base, unit) for stamp in (packet.pts, packet.dts))
        # Damaged audio may step back, and a coarser time base may let two stamps fall together: libavformat refuses both.
        dts = max(dts, last.get(packet.stream_index, dts - step) + step)
        last[packet.stream_index] = dts
        packet.duration = _rescale(packet.duration or 0, packet.time_base, unit)
        packet.pts, packet.dts, packet.time_base = max(pts, dts), dts, unit
        target.mux_one(packet)


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Turn what libavformat says about ``output`` to an `OutputError`, or to an `EncodeError` where the disk is not to blame."""
    try:
        yield
    except GpuSaliencyError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:  # ValueError: PyAV says so that a container cannot hold a codec
        if getattr(error, "errno", None) in _DISK_ERRORS:
            raise OutputError(
                f"{output}: cannot be written: {_reason(error)}", cure=f"give {setting('output')} another path"
            ) from error
        raise EncodeError(f"{output}: the parts of the encode cannot be joined: {_reason(error)}") from error


def _decode_seconds(packet: av.Packet[av.stream.Stream]) -> float:
    return float((packet.dts or 0) * packet.time_base)


def _rescale(value: int, unit: Fraction, to: Fraction) -> int:
    """``value`` in units of ``unit`` seconds, counted in ``to``; halves go away from zero, as libavutil rounds."""
    exact = abs(value) * unit / to
    whole = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    return whole if value >= 0 else -whole


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
