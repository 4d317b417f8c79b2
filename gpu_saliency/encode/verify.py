"""Checks the output's container before the encode, and the output file after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import av.stream
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.peak import PeakRate, Vbv
from gpu_saliency.encode.readback import ReadFrames, check_key_frames, read_frames
from gpu_saliency.encode.streams import StreamFacts, Streams, is_chapter_text, open_for_writing
from gpu_saliency.errors import EncodeError, OutputError
from gpu_saliency.files import check_output
from gpu_saliency.source.clip import Clip, ColorTags
from gpu_saliency.source.fields import Fields, order_of
from gpu_saliency.source.formats import open_file

VERIFY = ("quick", "full", "none")
"""How an output is verified: all packets and its first frame; every frame decoded; its headers alone."""
_LIMITED = 1
"""H.273's number for limited range."""


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """Facts about an encode that `verify_output` read back from its file."""

    codec: str
    width: int
    height: int
    pix_fmt: str | None
    audio_streams: int
    frames: int
    changed_color_tags: tuple[str, ...] = ()
    """Colour tags that differ from the source's, a text for each."""
    field_order: str | None = None
    """The field order that the file states (see `Fields`); ``None`` for progressive video."""
    streams: tuple[StreamFacts, ...] = ()
    """The streams besides the video."""
    chapters: int = 0
    dropped_hdr: tuple[str, ...] = ()
    """Names of the source's dynamic HDR metadata, which the output lacks."""
    verified: str = "quick"
    """How the file was verified: one of `VERIFY`."""
    peak: PeakRate | None = None
    """The VBV buffer, simulated over the packets; ``None`` without a limit of the peak rate, or if the file is not read."""
    lost: tuple[str, ...] = ()
    """What the source has and the output has not, a text for each."""

    def to_json(self) -> dict[str, Any]:
        lists = {"changed_color_tags": list(self.changed_color_tags), "lost": list(self.lost)}
        streams = [{"kind": s.kind, "codec": s.codec, "language": s.language} for s in self.streams]
        return asdict(self) | lists | {"streams": streams, "dropped_hdr": list(self.dropped_hdr)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an output must have."""

    clip: Clip
    """Its size, colour tags, rotation and path (for messages)."""
    codec: str | None
    frames: int | None
    """``None``: any number."""
    streams: Streams = field(default_factory=Streams)
    fields: Fields | None = None
    vbv: Vbv | None = None
    pix_fmt: str | None = None
    seconds: NDArray[np.float64] | None = None
    """``[frames]``, times of the frames after the first, as the source has them; ``None``: any."""
    is_damaged: bool = False
    """Whether the source is damaged: a stream of which nothing could be read may lack."""
    keyint: int | None = None
    """Frames from one key frame to the next; ``None``: any."""


def check_destination(job: EncodeJob, output: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` unless ``output`` can be written and its container can hold the encode of ``job``."""
    check_output(output, job.clip.path, overwrite=overwrite)
    suffixes = job.spec.suffixes
    if suffixes and output.suffix.lower() not in suffixes:
        kind = output.suffix or "a file without suffix"
        raise OutputError(f"{output}: {kind} is not supported for {job.spec.codec} video", cure="use " + " or ".join(suffixes))
    check_container(output, job.spec.codec)


def check_container(output: Path, codec: str | None) -> None:
    """Raise `OutputError` unless the container of ``output``, chosen by its suffix, can hold video of ``codec`` (``None``: any)."""
    with open_for_writing(output) as container:
        if codec is None:
            return
        try:
            container.add_mux_stream(codec)
        except ValueError as error:
            name = container.format.name
            raise OutputError(f"{output}: {name} cannot hold {codec} video", cure="use .mp4 or .mkv") from error


def verify_output(path: Path, expected: Expected, level: str = "quick") -> OutputFacts:
    """Read the file at ``path`` back and compare it with ``expected``; ``level`` is one of `VERIFY`.

    Raises `EncodeError` for another codec, size, number of frames, frame times, colour tags or number of audio streams than
    expected, and for a frame that cannot be decoded. What a container cannot store is not an error: `OutputFacts.lost` names it. If
    the expected codec is ``None`` (an unknown encoder), changed colour tags are returned and not treated as errors.
    """
    clip = expected.clip
    try:
        with open_file(path) as container:
            video = container.streams.video[0]
            context = video.codec_context
            facts = OutputFacts(
                codec=context.codec.canonical_name,
                width=context.width,
                height=context.height,
                pix_fmt=context.pix_fmt,
                audio_streams=len(container.streams.audio),
                chapters=len(container.chapters()),
                streams=tuple(StreamFacts.of(stream) for stream in container.streams if _is_beside(stream, video)),
                frames=expected.frames or 0,
                changed_color_tags=tuple(changed_color_tags(ColorTags.of(context), clip.color)),
                field_order=order_of(context.field_order),
                verified=level,
            )
            is_known = level == "none" and expected.frames is not None and expected.keyint is None
            read = None if is_known else read_frames(container, video, decode=level == "full")
    except (av.FFmpegError, IndexError) as error:
        raise EncodeError(f"ffmpeg wrote a file that cannot be read back: {error}", cure="use .mkv") from error
    if read is not None:
        facts = replace(facts, frames=read.frames, pix_fmt=read.pix_fmt or facts.pix_fmt)
        read.check(clip)
        if expected.keyint is not None:
            check_key_frames(read, expected.keyint)
        facts = replace(facts, peak=None if expected.vbv is None else read.peak(expected.vbv))
    wanted = {"width": clip.width, "height": clip.height, "codec": expected.codec, "frames": expected.frames}
    wanted["audio_streams"] = None if expected.is_damaged else expected.streams.count("audio")
    for name, value in wanted.items():
        if value is not None and getattr(facts, name) != value:
            raise EncodeError(
                f"ffmpeg wrote {name} {getattr(facts, name)}, {value} was expected",
                cure="try another encoder, or another ffmpeg",
                evidence={"written": facts.to_json()},
            )
    if facts.changed_color_tags and expected.codec is not None:
        raise EncodeError(f"ffmpeg wrote {'; '.join(facts.changed_color_tags)}", cure="use .mp4 or .mkv, which keep colour tags")
    return replace(facts, lost=tuple(_lost(facts, expected, read, path)))


def _is_beside(stream: av.stream.Stream, video: av.stream.Stream) -> bool:
    return stream is not video and not is_chapter_text(stream)


def _lost(facts: OutputFacts, expected: Expected, read: ReadFrames | None, path: Path) -> Iterator[str]:
    streams, fields, suffix = expected.streams, expected.fields, path.suffix
    if fields is not None and facts.field_order != fields.order:
        yield f"the field order of the interlaced source ({fields.text}) is not stated: {suffix} stores none for {facts.codec}"
    if facts.chapters < streams.chapters:
        yield f"{facts.chapters} of the source's {streams.chapters} chapters are stored: {suffix} cannot hold them"
    for kind in ("audio", "subtitle", "video", "data", "attachment"):
        wanted, found = ([one.language for one in some if one.kind == kind] for some in (streams.kept, facts.streams))
        if len(found) < len(wanted):
            yield f"{len(found)} of {len(wanted)} copied streams of the kind {kind} can be read back"
        elif any(a not in (None, "und", b) for a, b in zip(wanted, found, strict=False)):
            yield f"language tags of {kind} streams: {suffix} does not keep them"
    if read is None:
        return
    if read.orientation is not None and read.orientation != expected.clip.orientation:
        yield f"the turn or mirror of the picture for display: {suffix} does not keep it"
    if expected.pix_fmt is not None and read.pix_fmt is not None and _plain(read.pix_fmt) != _plain(expected.pix_fmt):
        yield f"the pixel format: the encoder was given {expected.pix_fmt}, the file has {read.pix_fmt}"
    if read.repeated:
        tick = float(read.time_base)
        yield f"{read.repeated} frames have the time of another one: {suffix} stores steps of {tick:.2g} s, .mp4 finer ones"
    late = read.latest(expected.seconds)
    if late is not None:
        if suffix.lower() != ".avi":
            raise EncodeError(f"ffmpeg wrote frame {late[0]} {late[1]:+.4f} s from its time", cure="use .mkv or .mp4")
        yield f"the times of frames, by up to {abs(late[1]):.3f} s: .avi has a constant frame rate"


def _plain(pix_fmt: str) -> str:
    """``pix_fmt`` without the letter of the full range, which the colour tags state too."""
    return pix_fmt.replace("yuvj", "yuv")


def changed_color_tags(written: ColorTags, source: ColorTags) -> list[str]:
    """A text for each tag of ``source`` that ``written`` does not have; the numbers are those of ITU-T H.273."""
    changed = []
    for key, unspecified in (("color_range", 0), ("colorspace", 2), ("color_primaries", 2), ("color_trc", 2)):
        value, found = getattr(source, key), getattr(written, key)
        # An unspecified range means limited range, and x264 omits this tag where it is the only one.
        implied = key == "color_range" and value == _LIMITED and found == unspecified
        if value != unspecified and found != value and not implied:
            changed.append(f"{key} {found}, the source has {value}")
    return changed
