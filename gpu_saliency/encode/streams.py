"""Chooses the source's streams that an encode copies besides the video, by a trial of the output's muxer with these streams."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.audio.stream
import av.container
import av.stream
import numpy as np

from gpu_saliency.encode.audio import AudioCoding, audio_coding
from gpu_saliency.errors import OutputError, setting
from gpu_saliency.source.clip import Clip, libav_reason, open_clip, video_stream_of
from gpu_saliency.source.reading import ended

_TRIAL_PACKETS = 400
"""Packets of the source's start in which the trial looks for one of each stream; a subtitle may come later."""
_EACH = 8
"""Packets of one stream for the trial: the first ones may be damaged."""
_COVER_IS_ATTACHMENT = frozenset({"matroska"})
_DROPS_COVERS = frozenset({"mov"})
"""Containers whose muxer takes a cover picture and does not write it."""
_USUAL_CODECS = ("aac", "libopus", "libmp3lame", "flac", "pcm_s16le")
_NEEDS_VIDEO = frozenset({"mxf"})
"""Containers that write no file without video; `try_container` finds what they cannot hold."""
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""libavutil's default layout for a number of channels, which ffmpeg assumes too where a file states none (PCM in AVI)."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A stream of a source, besides the video that is encoded."""

    index: int
    """Its number in the source."""
    kind: str
    """``audio``, ``subtitle``, ``video``, ``data``, ``attachment`` or ``unknown``."""
    codec: str | None
    """ffmpeg's name of its codec; ``None`` where it is not known."""
    language: str | None
    reason: str | None = None
    """Why it is left out; ``None`` for a stream that is copied."""
    is_asked: bool = False
    """Whether the user's own setting leaves it out."""

    @classmethod
    def of(cls, stream: av.stream.Stream, reason: str | None = None) -> StreamFacts:
        """The facts of ``stream``, with ``reason``."""
        return cls(stream.index, stream.type, codec_of(stream), stream.metadata.get("language"), reason)

    @property
    def text(self) -> str:
        """The stream and the reason, for a message."""
        codec = self.codec or "of an unknown codec"
        return f"stream {self.index} ({self.kind}, {codec}) is left out: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["is_asked"]
        return fields


@dataclass(frozen=True, slots=True)
class Streams:
    """The choice for one output."""

    kept: tuple[StreamFacts, ...] = ()
    left_out: tuple[StreamFacts, ...] = ()
    chapters: int = 0
    """Number of chapters of the output."""

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(stream.index for stream in self.kept)

    def count(self, kind: str) -> int:
        """Number of copied streams of ``kind``."""
        return sum(stream.kind == kind for stream in self.kept)


def choose_streams(clip: Clip, output: Path, *, audio: bool = True, coding: AudioCoding | None = None) -> Streams:
    """Choose the streams of ``clip`` that the container of ``output`` (by its suffix) can hold.

    ``audio=False`` leaves all audio out. A stream without a known codec is left out, as are further videos. Raises `OutputError`
    for audio of a known codec that the container cannot hold, and `SourceError`. With ``coding`` the container must hold its codec.
    """
    if clip.is_raw:
        return Streams()
    kept, left_out = [], []
    with open_clip(clip) as source:
        main = video_stream_of(source, clip.stream)
        chapters = chapters_within(source, clip)
        has_text = bool(source.chapters())
        others = [stream for stream in source.streams if stream is not main and not (has_text and is_chapter_text(stream))]
        reasons = {stream.index: _unusable(stream, audio=audio) for stream in others}
        usable = [stream for stream in others if reasons[stream.index] is None]
        packets = _first_packets(source, usable, _EACH)
        for stream in others:
            reason = reasons[stream.index]
            if reason is None and coding is not None and isinstance(stream, av.audio.stream.AudioStream):
                reason = _coding_trial(output, stream, coding)
            elif reason is None:
                reason = _trial(output, stream, packets.get(stream.index, []))
            facts = StreamFacts.of(stream, reason)
            if reason is None:
                kept.append(facts)
            elif stream.type == "audio" and reasons[stream.index] is None:
                cures = [] if output.suffix.lower() == ".mkv" else ["use .mkv"]
                cures += [setting("audio_codec", name) for name in _held_codecs(output, stream, coding)]
                cure = ", or ".join([*cures, setting("audio", False)])
                raise OutputError(f"{output}: {reason}; it is the source's stream {stream.index}", cure=cure)
            else:
                is_asked = stream.type == "audio" and not audio
                left_out.append(replace(facts, is_asked=is_asked))
    return Streams(tuple(kept), tuple(left_out), chapters)


def chapters_within(source: av.container.InputContainer, clip: Clip) -> int:
    """Number of chapters of ``source`` of which a part lies within ``clip``."""
    duration = clip.length
    if clip.span is not None:
        start = clip.span.seconds
        spans = [[float(one[at] * (one["time_base"] or 0)) - start for at in ("start", "end")] for one in source.chapters()]
        return sum(end > 0 and (not duration or begin < duration) for begin, end in spans)
    starts = [float(chapter["start"] * chapter["time_base"]) for chapter in source.chapters() if chapter["time_base"]]
    first = (source.start_time or 0) / av.time_base
    return sum(not duration or start - first < duration for start in starts)


def codec_of(stream: av.stream.Stream) -> str | None:
    """ffmpeg's name of the codec of ``stream``, or the type of an attachment; ``None`` where it is not known."""
    if stream.codec_context is not None:
        return str(stream.codec_context.codec.canonical_name)
    if stream.type == "attachment":
        return stream.metadata.get("mimetype")
    return stream.name if stream.type == "data" else None


def is_cover(stream: av.stream.Stream) -> bool:
    """Whether ``stream`` is a picture that belongs to the file, such as its cover."""
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


def add_copy(target: av.container.OutputContainer, stream: av.stream.Stream, cover: bytes | None = None) -> av.stream.Stream | None:
    """Add a stream to ``target`` that gets the packets of ``stream``, with its language, title, other metadata and disposition.

    ``cover`` is the data of a cover picture: Matroska stores it as an attachment, which needs no packet, so the result is ``None``.
    Raises `ValueError` if the container cannot hold its codec.
    """
    if cover is not None and target.format.name in _COVER_IS_ATTACHMENT:
        kind = "png" if codec_of(stream) == "png" else "jpeg"
        name = stream.metadata.get("filename") or f"cover.{kind.replace('jpeg', 'jpg')}"
        target.add_attachment(name, f"image/{kind}", cover)
        return None
    # opaque: the copy of a stream needs no encoder.
    copy = target.add_stream_from_template(stream, opaque=True)
    describe(copy, stream)
    if isinstance(copy, av.audio.stream.AudioStream):
        layout = copy.codec_context.layout
        if layout.nb_channels in _LAYOUTS and layout.name == f"{layout.nb_channels} channels":
            copy.codec_context.layout = _LAYOUTS[layout.nb_channels]
    return copy


def describe(stream: av.stream.Stream, source: av.stream.Stream, without: tuple[str, ...] = ()) -> None:
    """Copy language, title, other metadata and disposition of ``source`` to ``stream``."""
    stream.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in without})
    stream.disposition = source.disposition.value  # type: ignore[assignment]  # PyAV takes nothing but the number


def is_damaged(stream: av.stream.Stream, packet: av.Packet[av.stream.Stream]) -> bool:
    """Whether ``packet`` of ``stream`` is certainly damaged: AAC with headers in its packets (ADTS), of which one lacks the header.

    Muxers decide by a stream's first packet how to convert it, and then refuse all packets that follow a damaged first one.
    """
    if stream.type != "audio" or codec_of(stream) != "aac" or stream.codec_context.extradata:
        return False
    head = bytes(packet)[:2]
    return len(head) < 2 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0


def cover_data(clip: Clip, index: int) -> bytes | None:
    """The data of the stream ``index`` of ``clip`` if it is a cover picture; ``None`` for other streams."""
    with open_clip(clip) as source:
        stream = source.streams[index]
        packets = _first_packets(source, [stream])[index] if is_cover(stream) else []
    return bytes(packets[0]) if packets else None


def is_chapter_text(stream: av.stream.Stream) -> bool:
    """Whether ``stream`` is the track in which .mp4 and .mov store chapters; the output gets its chapters as such."""
    return stream.type == "data" and codec_of(stream) == "bin_data"


def _unusable(stream: av.stream.Stream, *, audio: bool) -> str | None:
    """Why ``stream`` cannot be copied to any container, or shall not be; ``None`` if it may be."""
    if stream.type == "audio" and not audio:
        return f"{setting('audio', False)} was given"
    if stream.type == "video" and not is_cover(stream):
        return "an output has one video stream"
    if stream.type == "attachment":
        return None
    if stream.type == "unknown" or codec_of(stream) in (None, "none", "bin_data"):
        return "its codec is not known, so it cannot be copied"
    if stream.codec_context is None and stream.type != "data":
        return "its codec is not known, so it cannot be copied"
    return None


def _first_packets(
    source: av.container.InputContainer, streams: list[av.stream.Stream], most: int = 1
) -> dict[int, list[av.Packet[av.stream.Stream]]]:
    """The first packets of each of ``streams`` by index, at most ``most``; those that come late are missing."""
    found: dict[int, list[av.Packet[av.stream.Stream]]] = {s.index: [] for s in streams if s.type != "attachment"}
    missing = set(found)
    try:
        with ended(source.demux()) as packets:
            for count, packet in enumerate(packets if missing else ()):
                index = packet.stream_index
                if packet.size and index in missing and not is_damaged(source.streams[index], packet):
                    found[index].append(packet)
                    if len(found[index]) == most or is_cover(source.streams[index]):
                        missing.discard(index)
                if not missing or count >= _TRIAL_PACKETS:
                    break
    except av.FFmpegError:  # the analysis or the copy reports a damaged source
        pass
    return found


def _trial(output: Path, stream: av.stream.Stream, packets: list[av.Packet[av.stream.Stream]]) -> str | None:
    """Write a file with ``stream`` alone to memory and read it back; returns why that fails, or ``None``."""
    what = f"{codec_of(stream) or ''} {'cover picture' if is_cover(stream) else stream.type}".strip()
    memory = _memory(output)
    with open_for_writing(output, memory) as target:
        name = target.format.name
        if name in _NEEDS_VIDEO:
            return None
        if stream.type == "attachment" and name not in _COVER_IS_ATTACHMENT:
            return f"{name} cannot hold attachments"
        if is_cover(stream) and name in _DROPS_COVERS:
            return f"{name} cannot hold cover pictures"
        try:
            copy = add_copy(target, stream, bytes(packets[0]) if packets and is_cover(stream) else None)
        except ValueError:
            return f"{name} cannot hold {what}"
        error = None
        try:
            target.start_encoding()
            if copy is not None and stream.type != "attachment":
                error = _write_one(target, copy, packets)
            target.close()
        except (av.FFmpegError, OSError) as failure:
            error = failure
    if error is not None:
        return f"its {what} cannot be copied to {name}: {libav_reason(error)}"
    if name == "mpegts" and _codec_in(memory) != codec_of(stream):
        # Its muxer stores what it does not know as private data.
        return f"{name} cannot hold {what}"
    return None


def _coding_trial(output: Path, stream: av.audio.stream.AudioStream, coding: AudioCoding) -> str | None:
    """Encode a little silence as ``coding`` would encode ``stream``, to memory; returns why that fails, or ``None``."""
    with open_for_writing(output, _memory(output)) as target:
        name = target.format.name
        try:
            copy = coding.add_to(target, stream)
            context = copy.codec_context
            rate, channels = context.sample_rate, context.layout.nb_channels
            silence = av.AudioFrame.from_ndarray(np.zeros((channels, rate // 10), np.float32), "fltp", context.layout.name)
            silence.sample_rate, silence.pts, silence.time_base = rate, 0, Fraction(1, rate)
            for frame in (silence, None):
                target.mux(copy.encode(frame))
            target.close()
        except (av.FFmpegError, ValueError, OSError) as error:
            if name in _NEEDS_VIDEO:
                return None
            return f"its audio cannot be encoded by {coding.encoder} for {name}: {libav_reason(error)}"
    return None


def _held_codecs(output: Path, stream: av.stream.Stream, tried: AudioCoding | None) -> list[str]:
    """The first usual audio codec that the container of ``output`` can hold, if any."""
    assert isinstance(stream, av.audio.stream.AudioStream)
    for name in _USUAL_CODECS:
        coding = audio_coding(name, None)
        if coding is not None and coding != tried and _coding_trial(output, stream, coding) is None:
            return [name]
    return []


def _write_one(
    target: av.container.OutputContainer, copy: av.stream.Stream, packets: list[av.Packet[av.stream.Stream]]
) -> Exception | None:
    """Write ``packets`` until one is accepted, since the first ones may be damaged; without any, write a dummy.

    Returns the last error if all are refused.
    """
    error: Exception | None = None
    for number, packet in enumerate(packets or [av.Packet(b"1")]):
        packet.stream = copy
        packet.time_base = copy.time_base or Fraction(1, 1000)
        packet.pts = packet.dts = number
        try:
            target.mux_one(packet)
        except (av.FFmpegError, OSError) as failure:
            error = failure
        else:
            return None
    return error


def _codec_in(memory: io.BytesIO) -> str | None:
    """The codec of the only stream of the file in ``memory``; ``None`` if it cannot be read."""
    try:
        with av.open(io.BytesIO(memory.getvalue())) as container:
            return codec_of(container.streams[0]) if len(container.streams) else None
    except (av.FFmpegError, OSError, ValueError):
        return None


def _memory(output: Path) -> io.BytesIO:
    memory = io.BytesIO()
    # Of .m2ts a few packets cannot be read back; it holds what .ts holds.
    suffix = ".ts" if output.suffix.lower() in (".m2ts", ".mts") else output.suffix
    memory.name = f"output{suffix}"  # PyAV finds the container by this attribute
    return memory


@contextmanager
def open_for_writing(output: Path, memory: io.BytesIO | None = None) -> Iterator[av.container.OutputContainer]:
    """Open the container that the suffix of ``output`` selects, writing to ``memory``. Raises `OutputError` if there is none."""
    try:
        target = av.open(memory or _memory(output), "w")
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(f"{output}: unknown file extension: {error}", cure="use .mp4, .mkv or .mov") from error
    try:
        yield target
    finally:
        with suppress(av.FFmpegError, OSError):  # an incomplete file cannot always be closed
            target.close()
