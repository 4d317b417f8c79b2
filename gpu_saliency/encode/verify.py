"""The output file: checked before the work begins, written under a temporary name, verified, renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av.container

from gpu_saliency.errors import EncodeError, OutputError
from gpu_saliency.files import temporary_output
from gpu_saliency.source.clip import Clip, ColorTags

_LIMITED = 1


def check_container(output: Path, codec: str | None, audio_codecs: tuple[str, ...]) -> None:
    """Raise `OutputError` unless the container that ``output`` names can hold the video codec and the audio as it is."""
    with temporary_output(output) as temporary:
        try:
            container = av.open(str(temporary), "w")
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(f"{output}: its suffix names no container: {error}", cure="for example .mp4, .mkv or .mov") from error
        with container:
            name, supported = container.format.name, container.supported_codecs
    if codec is not None and codec not in supported:
        raise OutputError(f"{output}: {name} cannot hold {codec} video", cure="for example .mp4 or .mkv")
    for audio in audio_codecs:
        if audio not in supported:
            raise OutputError(f"{output}: {name} cannot hold the source's {audio} audio as it is", cure="use .mkv, or --no-audio")


def verify_output(path: Path, clip: Clip, codec: str | None, frame_count: int | None, audio_streams: int) -> dict[str, Any]:
    """Demux what ffmpeg wrote and compare it with what was asked; raise `EncodeError` where they differ.

    Checked: codec, geometry, number of frames, colour tags that the source has, number of audio streams. ``None`` skips a
    check, and for an unknown ``codec`` changed colour tags are only returned.
    """
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            context = video.codec_context
            facts = {
                "codec": context.codec.canonical_name,
                "width": context.width,
                "height": context.height,
                "pix_fmt": context.pix_fmt,
                "audio_streams": len(container.streams.audio),
            }
            color = ColorTags.of(context)
            facts["frames"] = sum(1 for packet in container.demux(video) if packet.size)
    except (av.FFmpegError, IndexError) as error:
        raise EncodeError(f"ffmpeg wrote a file that cannot be read back: {error}") from error
    wanted = {"width": clip.width, "height": clip.height, "audio_streams": audio_streams}
    if codec is not None:
        wanted["codec"] = codec  # type: ignore[assignment]
    if frame_count is not None:
        wanted["frames"] = frame_count
    for key, value in wanted.items():
        if facts[key] != value:
            raise EncodeError(f"ffmpeg wrote {key} {facts[key]}, the source has {value}", evidence={"written": facts})
    changed = changed_color_tags(color, clip.color)
    if changed and codec is not None:
        raise EncodeError(f"ffmpeg wrote {'; '.join(changed)}", cure="use .mp4 or .mkv, which keep colour tags")
    # Of an encoder that nothing is known of, nothing is expected: the caller tells the user.
    return facts | {"changed_color_tags": changed}


def changed_color_tags(written: ColorTags, source: ColorTags) -> list[str]:
    """What differs from the tags that the source has, a sentence each; the numbers are those of ITU-T H.273."""
    changed = []
    for key, unspecified in (("color_range", 0), ("colorspace", 2), ("color_primaries", 2), ("color_trc", 2)):
        value, found = getattr(source, key), getattr(written, key)
        # Limited range is what a stream that does not say means, and x264 leaves it unsaid where it is the only tag.
        implied = key == "color_range" and value == _LIMITED and found == unspecified
        if value != unspecified and found != value and not implied:
            changed.append(f"{key} {found}, the source has {value}")
    return changed
