"""Probes a source file: size, rate, colour tags and streams. Raises every error that the first frame can show."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path

import av.video.stream

from gpu_saliency.errors import SourceError, SourceMissingError, UsageError, setting
from gpu_saliency.source.clip import MAX_SIDE, Clip, ColorTags, libav_reason, pixel_aspect_of, video_stream_of
from gpu_saliency.source.formats import file_options, open_file, refused_file
from gpu_saliency.source.frame_rate import frames_before
from gpu_saliency.source.raw import RAW_SUFFIXES, probe_raw

_GIVE_A_VIDEO = "give the path of a video file"


def probe_clip(
    path: str | os.PathLike[str],
    *,
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    frame_rate: Fraction | None = None,
    duration: float = 0.0,
    allow_playlists: bool = False,
) -> Clip:
    """Read size, format, rate, colour tags and streams of the video file ``path``, and decode its first frame.

    Files that end in ``.yuv`` or ``.raw`` are raw planar video: ``width`` and ``height`` (pixels) are required, ``pix_fmt``
    defaults to yuv420p and ``frame_rate`` to 24. Other files state these values; a value given here that contradicts the file is
    an error. ``duration`` limits the clip to its first seconds; 0 uses the whole clip. Playlists and other files that name further
    files are refused unless ``allow_playlists``; even then, nothing is read from a network.

    Raises `SourceMissingError`, `SourceError` or `UsageError`.
    """
    path = Path(path)
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
    if path.suffix.lower() in RAW_SUFFIXES:
        return probe_raw(path, width, height, pix_fmt, frame_rate, duration)
    clip = _probe_container(path, duration, allow_playlists=allow_playlists)
    _check_settings(clip, width, height, pix_fmt, frame_rate)
    return clip


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


def _probe_container(path: Path, duration: float, *, allow_playlists: bool) -> Clip:
    try:
        container = open_file(path, options=file_options(path, allow_playlists=allow_playlists))
    except (av.FFmpegError, OSError) as error:
        refused = None if allow_playlists else refused_file(path)
        raise refused or SourceError(
            f"{path}: is not a video that ffmpeg can read: {libav_reason(error)}",
            cure="give a file in a container that ffmpeg reads, or raw video with the suffix .yuv",
        ) from error
    with container:
        try:
            video = video_stream_of(container)
        except StopIteration:
            raise SourceError(f"{path}: has no video stream", cure=_GIVE_A_VIDEO) from None
        context = video.codec_context
        if not (1 <= context.width <= MAX_SIDE and 1 <= context.height <= MAX_SIDE) or context.pix_fmt is None:
            cure = f"give a video of at most {MAX_SIDE} pixels a side, in a codec that ffmpeg decodes"
            raise SourceError(f"{path}: the video stream has no usable size or pixel format", cure=cure)
        frame_rate = video.average_rate or video.guessed_rate
        if not frame_rate:
            raise SourceError(f"{path}: the video stream has no frame rate", cure="remux it to Matroska or MP4")
        first = _first_frame(path, container, video)
        return Clip(
            path=path,
            width=context.width,
            height=context.height,
            pix_fmt=context.pix_fmt,
            frame_rate=frame_rate,
            frame_count=_declared_frames(container, video, frame_rate, duration),
            duration=duration,
            codec=context.codec.canonical_name,
            color=ColorTags.of(context),
            sample_aspect_ratio=pixel_aspect_of(str(path), video),
            rotation=round(first.rotation / 90) * 90 % 360,
            audio_codecs=tuple(s.codec_context.name for s in container.streams.audio),
            other_streams=tuple(s.type for s in container.streams if s.type != "audio" and s is not video),
            size_bytes=path.stat().st_size,
            container=container.format.name,
            allow_playlists=allow_playlists,
        )


def _first_frame(path: Path, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> av.VideoFrame:
    """Decode the first frame: it has the rotation, and a valid header does not prove that it exists. Raises `SourceError`."""
    cure = "give an intact file"
    try:
        return next(container.decode(video))
    except StopIteration:
        raise SourceError(f"{path}: has no video frame", cure=cure) from None
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"{path}: its first frame cannot be decoded: {libav_reason(error)}", cure=cure) from error


def _declared_frames(
    container: av.container.InputContainer, video: av.video.stream.VideoStream, frame_rate: Fraction, duration: float
) -> int | None:
    """Frames within ``duration``, from the container's frame count or its length; ``None`` where the container has neither."""
    frames = video.frames
    if not frames and container.duration:
        frames = round(container.duration / av.time_base * frame_rate)
    return frames_before(duration, frames, frame_rate) if frames else None


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
