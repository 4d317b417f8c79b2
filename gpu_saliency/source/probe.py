"""Probes a source file: size, rate, colour tags and streams. Raises every error that the first frame can show."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av.video.stream

from gpu_saliency.errors import SourceError, SourceMissingError, UsageError, setting
from gpu_saliency.source.choice import choose_stream
from gpu_saliency.source.clip import MAX_SIDE, Clip, ColorTags, libav_reason, pixel_aspect_of
from gpu_saliency.source.find_span import find_span
from gpu_saliency.source.formats import file_options, open_file, refused_file
from gpu_saliency.source.frame_rate import frames_in
from gpu_saliency.source.identity import FileIdentity
from gpu_saliency.source.orientation import orientation_of
from gpu_saliency.source.rate import clock_rate, is_bare
from gpu_saliency.source.raw import RAW_SUFFIXES, probe_raw
from gpu_saliency.source.reading import ended

MAX_SECONDS = 10**8
"""Latest start of a clip: three years."""
_GIVE_A_VIDEO = "give the path of a video file"


def probe_clip(
    path: str | os.PathLike[str],
    *,
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    frame_rate: Fraction | None = None,
    start: float = 0.0,
    duration: float = 0.0,
    video_stream: int | None = None,
    allow_playlists: bool = False,
) -> Clip:
    """Read size, format, rate, colour tags and streams of the video file ``path``, and decode its first frame.

    Files that end in ``.yuv`` or ``.raw`` are raw planar video: ``width`` and ``height`` (pixels) are required, ``pix_fmt``
    defaults to yuv420p and ``frame_rate`` to 24. Other files state these values; a value given here that contradicts the file is
    an error, except the ``frame_rate`` of a bare bitstream such as .h264, which has no time stamps. ``start`` leaves the frames of
    so many seconds out, ``duration`` limits the clip to so many seconds from there; 0 uses all (see `Clip.start`).
    ``video_stream`` is the number of the video stream, cover pictures not counted; ``None`` takes the default one, and the largest
    of several. Playlists and other files that name further files are refused unless ``allow_playlists``; even then, nothing is read
    from a network.

    Raises `SourceMissingError`, `SourceError` or `UsageError`.
    """
    path = Path(path)
    if not 0 <= start <= MAX_SECONDS:  # also refuses nan
        raise UsageError("out of range", setting="start", value=start, cure=f"0 to {MAX_SECONDS} seconds")
    if not 0 <= duration < math.inf:  # also refuses nan
        raise UsageError("out of range", setting="duration", value=duration, cure="give seconds, or 0 for the whole clip")
    check_exists(path, cure=_GIVE_A_VIDEO)
    if not path.is_file():
        raise SourceError(f"{path}: is not a regular file", cure=_GIVE_A_VIDEO)
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: is empty", cure=_GIVE_A_VIDEO)
    for name, value in (("width", width), ("height", height)):
        if value is not None and not 1 <= value <= MAX_SIDE:
            raise UsageError("out of range", setting=name, value=value, cure=f"1 to {MAX_SIDE}")
    identity = _identify(path)  # first, so that a file that takes its place meanwhile is noticed
    if path.suffix.lower() in RAW_SUFFIXES:
        if video_stream:
            raise UsageError("raw video has one stream", setting="video_stream", value=video_stream, cure="leave it out")
        return replace(probe_raw(path, width, height, pix_fmt, frame_rate, start, duration), identity=identity)
    clip = _probe_container(path, start, duration, frame_rate, video_stream, allow_playlists=allow_playlists)
    clip = replace(clip, size_bytes=identity.size_bytes, identity=identity)
    _check_settings(clip, width, height, pix_fmt, frame_rate)
    return clip


def _identify(path: Path) -> FileIdentity:
    try:
        return FileIdentity.of(path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}", cure=_GIVE_A_VIDEO) from error


def check_exists(path: Path, *, cure: str) -> None:
    """Raise `SourceMissingError` unless ``path`` exists and its name can be that of a file."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SourceMissingError(f"{path}: no such file", cure=cure) from None
    except ValueError:  # a null character
        raise SourceMissingError(f"{str(path)!r}: no such file", cure=cure) from None
    except OSError as error:
        raise SourceMissingError(f"{path}: cannot be found: {error.strerror}", cure=cure) from error


def _probe_container(
    path: Path, start: float, duration: float, given_rate: Fraction | None, video_stream: int | None, *, allow_playlists: bool
) -> Clip:
    try:
        container = open_file(path, options=file_options(path, allow_playlists=allow_playlists))
    except (av.FFmpegError, OSError) as error:
        refused = None if allow_playlists else refused_file(path)
        raise refused or SourceError(
            f"{path}: is not a video that ffmpeg can read: {libav_reason(error)}",
            cure="give a file in a container that ffmpeg reads, or raw video with the suffix .yuv",
        ) from error
    with container:
        stream, video = choose_stream(path, container, video_stream)
        context = video.codec_context
        if not (1 <= context.width <= MAX_SIDE and 1 <= context.height <= MAX_SIDE) or context.pix_fmt is None:
            cure = f"give a video of at most {MAX_SIDE} pixels a side, in a codec that ffmpeg decodes"
            raise SourceError(f"{path}: the video stream has no usable size or pixel format", cure=cure)
        own_rate = given_rate if is_bare(container.format.name) else None
        frame_rate = own_rate or clock_rate(container, video)
        if not frame_rate:
            raise SourceError(f"{path}: the video stream has no frame rate", cure="remux it to Matroska or MP4")
        first = _first_frame(path, container, video)
        orientation = orientation_of(first)
        frames = _declared_frames(container, video, frame_rate)
        clip = Clip(
            path=path,
            width=context.width,
            height=context.height,
            pix_fmt=context.pix_fmt,
            frame_rate=frame_rate,
            frame_count=frames and frames_in(start, duration, frames, frame_rate),
            start=start,
            duration=duration,
            codec=context.codec.canonical_name,
            color=ColorTags.of(context),
            sample_aspect_ratio=pixel_aspect_of(str(path), video),
            rotation=90 * orientation.turns,
            mirrored=orientation.mirrored,
            audio_codecs=tuple(s.codec_context.name for s in container.streams.audio if s.codec_context is not None),
            other_streams=tuple(s.type for s in container.streams if s.type != "audio" and s is not video),
            size_bytes=path.stat().st_size,
            stream=stream,
            container=container.format.name,
            given_rate=own_rate,
            allow_playlists=allow_playlists,
        )
        origin = None if first.pts is None or first.time_base is None else first.pts * first.time_base
    return replace(clip, span=find_span(clip, origin, None)) if start else clip


def _first_frame(path: Path, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> av.VideoFrame:
    """Decode the first frame: it has the rotation, and a valid header does not prove that it exists. Raises `SourceError`."""
    cure = "give an intact file"
    reason = None
    try:
        with ended(container.demux(video)) as packets:
            for packet in packets:
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:  # a recording may begin between two key frames
                    reason = reason or libav_reason(error)
                    continue
                if frames:
                    return frames[0]
    except (av.FFmpegError, OSError) as error:
        reason = reason or libav_reason(error)
    if reason is None:
        raise SourceError(f"{path}: has no video frame", cure=cure)
    raise SourceError(f"{path}: its first frame cannot be decoded: {reason}", cure=cure)


def _declared_frames(
    container: av.container.InputContainer, video: av.video.stream.VideoStream, frame_rate: Fraction
) -> int | None:
    """Frames of the file, from the container's frame count or its length; ``None`` where the container has neither."""
    frames = video.frames
    if not frames and container.duration:
        frames = round(container.duration / av.time_base * frame_rate)
    return frames or None


def _check_settings(clip: Clip, width: int | None, height: int | None, pix_fmt: str | None, frame_rate: Fraction | None) -> None:
    """Raise `UsageError` if a value that the user gave contradicts the file."""

    def contradiction(name: str, given: object, found: object) -> UsageError:
        return UsageError(
            f"contradicts {clip.path}, which has {found}", setting=name, value=given, cure=f"leave {setting(name)} out"
        )

    if width is not None and width != clip.width:
        raise contradiction("width", width, clip.width)
    if height is not None and height != clip.height:
        raise contradiction("height", height, clip.height)
    if pix_fmt is not None and pix_fmt not in (clip.pix_fmt, clip.pix_fmt.removesuffix("le")):
        raise contradiction("pix_fmt", pix_fmt, clip.pix_fmt)
    if frame_rate is not None and abs(frame_rate / clip.frame_rate - 1) > Fraction(1, 1000):
        raise contradiction("frame_rate", float(frame_rate), f"{float(clip.frame_rate):.6g}")
