"""Chooses the video stream of a container: the user's, else the default one, else the largest."""

from __future__ import annotations

from pathlib import Path

import av
import av.container
import av.video.stream

from gpu_saliency.errors import SourceError, UsageError
from gpu_saliency.source.clip import moving_streams


def choose_stream(
    path: Path, container: av.container.InputContainer, wanted: int | None
) -> tuple[int, av.video.stream.VideoStream]:
    """Return the number and the stream of the video to use. Cover pictures are no video.

    Without ``wanted`` it is the stream that the container marks as default, the largest of several, and the first of several of one
    size. Streams without a size, which no decoder knows, come last. Raises `SourceError` without a video stream that
    can be decoded, and `UsageError` where ``wanted`` does not exist.
    """
    streams = moving_streams(container)
    if not streams:
        raise SourceError(f"{path}: has no video stream", cure="give the path of a video file")
    if wanted is not None:
        if not 0 <= wanted < len(streams):
            listed = ", ".join(f"{i}: {_size(s)}" for i, s in enumerate(streams))
            raise UsageError(f"{path} has no such video stream", setting="video_stream", value=wanted, cure=f"one of {listed}")
        number = wanted
    else:
        number = max(range(len(streams)), key=lambda i: (_pixels(streams[i]) > 0, _is_default(streams[i]), _pixels(streams[i]), -i))
    if streams[number].codec_context is None:  # PyAV has none for a codec that FFmpeg does not know
        raise SourceError(f"{path}: the codec of its video is not known", cure="convert it to a codec that ffmpeg decodes")
    return number, streams[number]


def _is_default(stream: av.video.stream.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.default)


def _pixels(stream: av.video.stream.VideoStream) -> int:
    context = stream.codec_context
    return 0 if context is None else context.width * context.height


def _size(stream: av.video.stream.VideoStream) -> str:
    context = stream.codec_context
    return "unknown size" if context is None else f"{context.width}x{context.height}"
