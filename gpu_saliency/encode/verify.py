"""Checks the output's container before the encode, and the output file after it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import av.container

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.errors import EncodeError, OutputError, setting
from gpu_saliency.files import check_output, temporary_output
from gpu_saliency.source.clip import METADATA_ERRORS, Clip, ColorTags

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

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"changed_color_tags": list(self.changed_color_tags)}


def check_destination(job: EncodeJob, output: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` unless ``output`` can be written and its container can hold the encode of ``job``."""
    check_output(output, job.clip.path, overwrite=overwrite)
    suffixes = job.spec.suffixes
    if suffixes and output.suffix.lower() not in suffixes:
        kind = output.suffix or "a file without suffix"
        raise OutputError(f"{output}: {kind} is not supported for {job.spec.codec} video", cure="use " + " or ".join(suffixes))
    check_container(output, job.spec.codec, job.clip.audio_codecs if job.audio else ())


def check_container(output: Path, codec: str | None, audio_codecs: tuple[str, ...]) -> None:
    """Raise `OutputError` unless the container of ``output``, chosen by its suffix, can hold the video and audio codecs."""
    with temporary_output(output) as temporary:
        try:
            container = av.open(str(temporary), "w")
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(f"{output}: unknown file extension: {error}", cure="use .mp4, .mkv or .mov") from error
        with container:
            name, supported = container.format.name, container.supported_codecs
    if codec is not None and codec not in supported:
        raise OutputError(f"{output}: {name} cannot hold {codec} video", cure="use .mp4 or .mkv")
    for audio in audio_codecs:
        if audio not in supported:
            raise OutputError(
                f"{output}: {name} cannot hold the source's {audio} audio as it is", cure=f"use .mkv, or {setting('audio', False)}"
            )


def verify_output(path: Path, clip: Clip, codec: str | None, frame_count: int | None, audio_streams: int | None) -> OutputFacts:
    """Read the file at ``path`` back and compare it with the expected facts; raise `EncodeError` where they differ.

    It compares codec, size, number of frames, the colour tags that ``clip`` has, and the number of audio streams. A
    ``frame_count`` or a number of audio streams of ``None`` skips that check. If ``codec`` is ``None`` (an unknown encoder),
    changed colour tags are returned and not treated as errors.
    """
    try:
        with av.open(str(path), metadata_errors=METADATA_ERRORS) as container:
            video = container.streams.video[0]
            context = video.codec_context
            color = ColorTags.of(context)
            facts = OutputFacts(
                codec=context.codec.canonical_name,
                width=context.width,
                height=context.height,
                pix_fmt=context.pix_fmt,
                audio_streams=len(container.streams.audio),
                frames=sum(1 for packet in container.demux(video) if packet.size),
                changed_color_tags=tuple(changed_color_tags(color, clip.color)),
            )
    except (av.FFmpegError, IndexError) as error:
        raise EncodeError(f"ffmpeg wrote a file that cannot be read back: {error}", cure="use .mkv") from error
    wanted = {"width": clip.width, "height": clip.height, "audio_streams": audio_streams, "codec": codec, "frames": frame_count}
    for name, value in wanted.items():
        if value is not None and getattr(facts, name) != value:
            raise EncodeError(
                f"ffmpeg wrote {name} {getattr(facts, name)}, the source has {value}",
                cure="try another encoder, or another ffmpeg",
                evidence={"written": facts.to_json()},
            )
    if facts.changed_color_tags and codec is not None:
        raise EncodeError(f"ffmpeg wrote {'; '.join(facts.changed_color_tags)}", cure="use .mp4 or .mkv, which keep colour tags")
    return facts


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
