"""Adds the streams of the joined file: video as encoded; audio, chapters and metadata copied from the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.stream
import av.video.stream
from av.bitstream import BitStreamFilterContext

from gpu_saliency.encode.join.audio_check import AudioCheck
from gpu_saliency.encode.join.audio_coder import AudioCoder
from gpu_saliency.encode.join.stamps import MICROSECOND, rescale
from gpu_saliency.encode.streams import is_cover, is_damaged
from gpu_saliency.source.clip import Clip, libav_reason
from gpu_saliency.source.restart import RestartClock, may_jump

_CODEC_TAG_FORMATS = frozenset({"mp4", "mov", "ipod", "ismv", "3gp", "3g2", "f4v"})
_NEEDS_START_CODES = frozenset({"avi"})


def add_video(
    target: av.container.OutputContainer,
    template: av.video.stream.VideoStream,
    part: Path,
    clip: Clip,
    time_base: Fraction,
    codec_tag: str | None,
    field_order: int | None,
) -> av.video.stream.VideoStream:
    """Add a video stream to ``target``, coded and tagged like ``template``, with the aspect ratio and rotation of ``clip``."""
    # opaque: otherwise PyAV needs an encoder with the decoder's name, which libdav1d and vvc do not have.
    stream = target.add_stream_from_template(template, opaque=True)
    # An AVI file states one duration for all frames.
    stream.time_base = 1 / clip.frame_rate if target.format.name == "avi" else time_base
    context = stream.codec_context
    context.framerate = clip.frame_rate
    if codec_tag is not None and target.format.name in _CODEC_TAG_FORMATS:
        context.codec_tag = codec_tag
    if field_order is not None:
        context.field_order = field_order
    # For AV1 and VP9 in .mp4, the stream has the aspect ratio and the codec parameters lack it.
    context.sample_aspect_ratio = clip.sample_aspect_ratio
    # An .ivf part cannot store the rotation; from .mp4 it comes with the codec parameters.
    if (clip.rotation or clip.mirrored) and part.suffix.lower() == ".ivf":
        stream.set_display_rotation(clip.rotation, hflip=clip.mirrored)
    encoder = template.metadata.get("encoder")
    if encoder:
        stream.metadata["encoder"] = encoder
    return stream


def start_codes(target: av.container.OutputContainer, stream: av.video.stream.VideoStream) -> BitStreamFilterContext | None:
    """The filter that gives ``stream`` start codes, where a container needs them and its muxer does not add them; else ``None``."""
    context = stream.codec_context
    has_sizes = (context.extradata or b"")[:1] == b"\1"
    if target.format.name not in _NEEDS_START_CODES or context.codec.canonical_name != "h264" or not has_sizes:
        return None
    return BitStreamFilterContext("h264_mp4toannexb", stream, stream)


def filtered(
    packets: Iterator[av.Packet[av.stream.Stream]], stream_filter: BitStreamFilterContext, stream: av.stream.Stream
) -> Iterator[av.Packet[av.stream.Stream]]:
    """Yield ``packets`` of ``stream`` after ``stream_filter``."""
    for packet in packets:
        unit = packet.time_base
        for changed in stream_filter.filter(packet):
            changed.stream, changed.time_base = stream, unit
            yield changed


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


def copied_packets(
    source: av.container.InputContainer,
    copies: dict[int, av.stream.Stream],
    start: int,
    clip: Clip,
    losses: list[str],
    coders: Mapping[int, AudioCoder],
) -> Iterator[av.Packet[av.stream.Stream]]:
    """Yield the packets of the source's streams that are copied, moved ``start`` microseconds earlier.

    ``copies`` has the output's stream by the index of the source's; packets of the streams in ``coders`` are encoded, by the same
    rules. As with ffmpeg's option -t, a stream ends before the first packet of which the dts reaches ``clip.length``. A clip with a
    start leaves out what begins before its first frame; a subtitle that is still shown then begins with it. Where the clock of the
    source restarts, the stamps go on. Damaged packets are passed over; ``losses`` gets a text for these, for packets of audio that
    are copied and cannot be decoded, and where the source cannot be read further.
    """
    clock = RestartClock() if may_jump(source) else None
    wanted = {*copies, *coders}
    read = [s for s in source.streams if s.index in wanted or (clock is not None and s.type in ("audio", "video"))]
    damaged: Counter[int] = Counter()
    audio = AudioCheck(from_start=clip.span is None)
    following: dict[int, int] = {}
    running = set(wanted)
    try:
        for packet in source.demux(read):
            index = packet.stream.index
            if clock is not None:
                packet = clock.continued(packet)
            if not packet.size or index not in running:
                continue
            if is_damaged(source.streams[index], packet):
                damaged[index] += 1
                continue
            offset = rescale(start, MICROSECOND, packet.time_base)
            dts = packet.dts if packet.dts is not None else packet.pts
            dts = dts - offset if dts is not None else following.get(index, 0)
            if clip.span is not None and dts < 0:
                if is_cover(packet.stream):
                    dts, packet.pts = 0, None
                elif packet.stream.type == "subtitle" and packet.duration and dts + packet.duration > 0:
                    dts, packet.pts, packet.duration = 0, None, dts + packet.duration
                else:
                    continue
            following[index] = dts + (packet.duration or 0)
            if clip.length:
                rest = round(clip.length * av.time_base) - rescale(dts, packet.time_base, MICROSECOND)
                if rest <= 0:
                    running.discard(index)
                    if not running:
                        break
                    continue
                if packet.stream.type == "subtitle" and packet.duration:
                    packet.duration = min(packet.duration, rescale(rest, MICROSECOND, packet.time_base))
            coder = coders.get(index)
            if coder is None:
                audio.see(packet)
            packet.pts, packet.dts = packet.pts - offset if packet.pts is not None else dts, dts
            if coder is not None:
                yield from coder.coded(packet)
                continue
            packet.stream = copies[index]
            yield packet
    except IndexError:  # PyAV 18 at the end of the file, where garbage looked like a further stream
        pass
    except av.FFmpegError as error:
        ends = (float(end * (source.streams[index].time_base or 0)) for index, end in following.items())
        reached = max(ends, default=0.0)
        losses.append(f"the source's audio and other streams end at {reached:.1f} s: {libav_reason(error)}")
    losses += [f"{count} damaged packets of the source's stream {index} were left out" for index, count in sorted(damaged.items())]
    losses += audio.losses()
    for coder in coders.values():
        yield from coder.rest()
        losses += coder.losses()
