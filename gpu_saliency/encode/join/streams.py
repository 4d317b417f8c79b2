"""Adds the streams of the joined file: video as encoded; audio, chapters and metadata copied from the source."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.stream
import av.video.stream

from gpu_saliency.encode.join.stamps import MICROSECOND, rescale
from gpu_saliency.errors import EncodeError, setting
from gpu_saliency.source.clip import Clip, libav_reason
from gpu_saliency.source.restart import RestartClock, may_jump

_CODEC_TAG_FORMATS = frozenset({"mp4", "mov", "ipod", "ismv", "3gp", "3g2", "f4v"})


def add_video(
    target: av.container.OutputContainer,
    template: av.video.stream.VideoStream,
    part: Path,
    clip: Clip,
    time_base: Fraction,
    codec_tag: str | None,
) -> av.video.stream.VideoStream:
    """Add a video stream to ``target``, coded and tagged like ``template``, with the aspect ratio and rotation of ``clip``."""
    # opaque: otherwise PyAV needs an encoder with the decoder's name, which libdav1d and vvc do not have.
    stream = target.add_stream_from_template(template, opaque=True)
    stream.time_base = time_base
    context = stream.codec_context
    context.framerate = clip.frame_rate
    if codec_tag is not None and target.format.name in _CODEC_TAG_FORMATS:
        context.codec_tag = codec_tag
    # For AV1 and VP9 in .mp4, the stream has the aspect ratio and the codec parameters lack it.
    context.sample_aspect_ratio = clip.sample_aspect_ratio
    # An .ivf part cannot store the rotation; from .mp4 it comes with the codec parameters.
    if clip.rotation and part.suffix.lower() == ".ivf":
        stream.set_display_rotation(clip.rotation)
    encoder = template.metadata.get("encoder")
    if encoder:
        stream.metadata["encoder"] = encoder
    return stream


def describe(stream: av.stream.Stream, source: av.stream.Stream, without: tuple[str, ...] = ()) -> None:
    """Copy language, title, other metadata and disposition of ``source`` to ``stream``."""
    stream.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in without})
    stream.disposition = source.disposition.value  # type: ignore[assignment]  # PyAV 16 takes nothing but the number


def chapters_of(source: av.container.InputContainer, start: int, duration: float) -> list[Any]:
    """The chapters that begin before ``duration`` seconds (0: all), moved ``start`` microseconds earlier, as all stamps are."""
    kept: list[Any] = []
    for chapter in source.chapters():
        unit = chapter["time_base"]
        if not unit:
            continue
        offset = rescale(start, MICROSECOND, unit)
        begin, end = max(0, chapter["start"] - offset), chapter["end"] - offset
        if duration:
            end = min(end, rescale(round(duration * av.time_base), MICROSECOND, unit))
        if begin < end:
            kept.append({**chapter, "start": begin, "end": end})
    return kept


def audio_packets(
    source: av.container.InputContainer, copies: dict[int, av.stream.Stream], start: int, clip: Clip, *, damaged: bool = False
) -> Iterator[av.Packet[av.stream.Stream]]:
    """Yield the packets of the source's audio, moved ``start`` microseconds earlier.

    ``copies`` maps the index of each source stream to the output's stream. As with ffmpeg's option -t, a stream ends before the
    first packet of which the dts reaches ``clip.duration``. Where the clock of the source restarts, the stamps go on. An error of
    the demuxer ends the streams of a ``damaged`` source. Raises `EncodeError`.
    """
    clock = RestartClock() if may_jump(source) else None
    read = [s for s in source.streams if s.index in copies or (clock is not None and s.type in ("audio", "video"))]
    following: dict[int, int] = {}
    running = set(copies)
    try:
        for packet in source.demux(read):
            index = packet.stream.index
            if clock is not None:
                packet = clock.continued(packet)
            if not packet.size or index not in running:
                continue
            offset = rescale(start, MICROSECOND, packet.time_base)
            dts = packet.dts if packet.dts is not None else packet.pts
            dts = dts - offset if dts is not None else following.get(index, 0)
            following[index] = dts + (packet.duration or 0)
            if clip.duration and rescale(dts, packet.time_base, MICROSECOND) >= round(clip.duration * av.time_base):
                running.discard(index)
                if not running:
                    return
                continue
            packet.pts, packet.dts = packet.pts - offset if packet.pts is not None else dts, dts
            packet.stream = copies[index]
            yield packet
    except IndexError:  # PyAV 18 at the end of the file, where garbage looked like a further stream
        return
    except av.FFmpegError as error:
        if damaged:
            return
        raise EncodeError(
            f"{clip.path}: its audio cannot be copied: {libav_reason(error)}", cure=f"give {setting('audio', False)}"
        ) from error
