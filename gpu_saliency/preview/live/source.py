"""Names and checks live sources, and describes them as a `Clip`."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.video.stream

from gpu_saliency.errors import SourceError, SourceMissingError
from gpu_saliency.source.choice import choose_stream
from gpu_saliency.source.clip import MAX_SIDE, Clip, ColorTags, moving_streams, pixel_aspect_of
from gpu_saliency.source.orientation import orientation_of
from gpu_saliency.texts import hide_url, printable

_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "srt", "udp", "rtp", "tcp", "http", "https"})
DEFAULT_FRAME_RATE = Fraction(25)
"""Frame rate of streams that state none; it does not affect frames that have time stamps."""


def is_live(source: str) -> bool:
    """Whether ``source`` is stdin or a URL, which are always live; a file is live only if the user requests it."""
    return source == "-" or "://" in source


def scheme_of(source: str) -> str:
    """The scheme of a URL, such as ``rtsp`` of ``rtsp://host/path``; empty for a file and for stdin."""
    return source.partition("://")[0].lower() if "://" in source else ""


def name_of(source: str) -> str:
    """The display name of ``source``: a URL without user name, password and keys, which must not appear in pages or logs."""
    return "stdin" if source == "-" else printable(hide_url(source) if "://" in source else source)


def check_source(source: str) -> None:
    """Raise `SourceError` or `SourceMissingError` if ``source`` cannot be opened now or later."""
    scheme = scheme_of(source)
    if scheme and scheme not in _SCHEMES:
        cure = "use one of " + ", ".join(sorted(_SCHEMES))
        raise SourceError(f"{name_of(source)}: {scheme} is not a live protocol", cure=cure)
    if not scheme and source != "-":
        path = Path(source)
        if not path.exists():
            raise SourceMissingError(f"{source}: no such file", cure="check the path")
        if not path.is_file():
            raise SourceError(f"{source}: is not a regular file", cure="give the path of a file that is being written")
    if source == "-" and sys.stdin.isatty():
        raise SourceError(
            "-: stdin is a terminal", cure="pipe a video into it, such as ffmpeg -i ... -f mpegts - | gpu-saliency ..."
        )


def reconnects(source: str) -> bool:
    """Whether the reader opens ``source`` again after its end: true for URLs."""
    return bool(scheme_of(source))


def video_of(source: str, container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The default or largest video stream, set to decode without frame threads, which would delay frames. Raises `SourceError`."""
    if not moving_streams(container):
        raise SourceError(f"{name_of(source)}: has no video stream", cure="check that the source is sending video")
    _, video = choose_stream(Path(name_of(source)), container, None)
    video.thread_type = "SLICE"
    return video


def clip_of(source: str, video: av.video.stream.VideoStream, frame: av.VideoFrame) -> Clip:
    """Describe a live source by its stream and its first frame. Raises `SourceError`."""
    if not (1 <= frame.width <= MAX_SIDE and 1 <= frame.height <= MAX_SIDE):
        raise SourceError(
            f"{name_of(source)}: has a frame of {frame.width}x{frame.height}, but sides of 1 to {MAX_SIDE} are supported",
            cure="send smaller frames",
        )
    return Clip(
        path=Path(name_of(source)),
        width=frame.width,
        height=frame.height,
        pix_fmt=frame.format.name,
        frame_rate=video.average_rate or video.guessed_rate or DEFAULT_FRAME_RATE,
        frame_count=None,
        codec=video.codec_context.codec.canonical_name,
        color=ColorTags.of(video.codec_context),
        sample_aspect_ratio=pixel_aspect_of(name_of(source), video),
        rotation=90 * orientation_of(frame).turns,
        mirrored=orientation_of(frame).mirrored,
    )
