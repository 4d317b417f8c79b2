"""Checks the output's container before the encode, and the output file after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import av
import av.container
import av.stream

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.streams import StreamFacts, Streams, is_chapter_text, open_for_writing
from gpu_saliency.errors import EncodeError, OutputError
from gpu_saliency.files import check_output
from gpu_saliency.source.clip import Clip, ColorTags
from gpu_saliency.source.fields import Fields, order_of

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
    lost: tuple[str, ...] = ()
    """What the source has and the output has not, a text for each."""

    def to_json(self) -> dict[str, Any]:
        lists = {"changed_color_tags": list(self.changed_color_tags), "lost": list(self.lost)}
        streams = [{"kind": s.kind, "codec": s.codec, "language": s.language} for s in self.streams]
        return asdict(self) | lists | {"streams": streams, "dropped_hdr": list(self.dropped_hdr)}


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


def verify_output(
    path: Path, clip: Clip, codec: str | None, frame_count: int | None, streams: Streams, fields: Fields | None = None
) -> OutputFacts:
    """Read the file at ``path`` back and compare it with the expected facts; raise `EncodeError` where they differ.

    It compares codec, size, number of frames, the colour tags that ``clip`` has, and the copied ``streams``. A
    ``frame_count`` of ``None`` skips that check. If ``codec`` is ``None`` (an unknown encoder), changed colour tags are returned
    and not treated as errors. ``fields`` is the source's field order; where the file lacks it, `OutputFacts.lost` says so.
    """
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            context = video.codec_context
            color = ColorTags.of(context)
            facts = OutputFacts(
                codec=context.codec.canonical_name,
                width=context.width,
                height=context.height,
                pix_fmt=context.pix_fmt,
                audio_streams=len(container.streams.audio),
                chapters=len(container.chapters()),
                streams=tuple(StreamFacts.of(stream) for stream in _others(container, video)),
                frames=sum(1 for packet in container.demux(video) if packet.size),
                changed_color_tags=tuple(changed_color_tags(color, clip.color)),
                field_order=order_of(context.field_order),
            )
    except (av.FFmpegError, IndexError) as error:
        raise EncodeError(f"ffmpeg wrote a file that cannot be read back: {error}", cure="use .mkv") from error
    wanted = {"width": clip.width, "height": clip.height, "codec": codec, "frames": frame_count}
    wanted["audio_streams"] = streams.count("audio")
    for name, value in wanted.items():
        if value is not None and getattr(facts, name) != value:
            raise EncodeError(
                f"ffmpeg wrote {name} {getattr(facts, name)}, the source has {value}",
                cure="try another encoder, or another ffmpeg",
                evidence={"written": facts.to_json()},
            )
    if facts.changed_color_tags and codec is not None:
        raise EncodeError(f"ffmpeg wrote {'; '.join(facts.changed_color_tags)}", cure="use .mp4 or .mkv, which keep colour tags")
    return replace(facts, lost=tuple(_lost(facts, streams, fields, path)))


def _others(container: av.container.InputContainer, video: av.stream.Stream) -> list[av.stream.Stream]:
    return [stream for stream in container.streams if stream is not video and not is_chapter_text(stream)]


def _lost(facts: OutputFacts, streams: Streams, fields: Fields | None, path: Path) -> Iterator[str]:
    if fields is not None and facts.field_order != fields.order:
        yield f"the field order of the interlaced source ({fields.text}) is not stated: {path.suffix} stores none for {facts.codec}"
    if facts.chapters < streams.chapters:
        yield f"{facts.chapters} of the source's {streams.chapters} chapters are stored: {path.suffix} cannot hold them"
    for kind in ("subtitle", "video", "data", "attachment"):
        found = sum(stream.kind == kind for stream in facts.streams)
        if found < streams.count(kind):
            yield f"{found} of {streams.count(kind)} copied streams of the kind {kind} can be read back"


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
