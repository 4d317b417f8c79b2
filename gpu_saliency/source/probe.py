"""Probes a source file: size, rate, colour tags and streams. Raises every error that the first frame can show."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path

import av.video.stream

from gpu_saliency.errors import SourceError, SourceMissingError, UsageError, setting
from gpu_saliency.source.choice import choose_stream
from gpu_saliency.source.clip import MAX_SIDE, METADATA_ERRORS, Clip, ColorTags, libav_reason
from gpu_saliency.source.frame_rate import frames_before
from gpu_saliency.source.rate import clock_rate, is_bare
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
    video_stream: int | None = None,
) -> Clip:
    """Read size, format, rate, colour tags and streams of the video file ``path``, and decode its first frame.

    Files that end in ``.yuv`` or ``.raw`` are raw planar video: ``width`` and ``height`` (pixels) are required, ``pix_fmt``
    defaults to yuv420p and ``frame_rate`` to 24. Other files state these values; a value given here that contradicts the file is
    an error, except the ``frame_rate`` of a bare bitstream such as .h264, which has no time stamps. ``duration`` limits the clip to
    its first seconds; 0 uses the whole clip. ``video_stream`` is the number of the video stream, cover pictures not counted;
    ``None`` takes the default one, and the largest of several.

    Raises `SourceMissingError`, `SourceError` or `UsageError`.
    """
    path = Path(path)
    if not 0 <= duration < math.inf:  # also refuses nan
        raise UsageError("out of range", setting="duration", value=duration, cure="give seconds, or 0 for the whole clip")
    if not path.exists():
        raise SourceMissingError(f"{path}: no such file", cure=_GIVE_A_VIDEO)
    if not path.is_file():
        raise SourceError(f"{path}: is not a regular file", cure=_GIVE_A_VIDEO)
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: is empty", cure=_GIVE_A_VIDEO)
    for name, value in (("width", width), ("height", height)):
        if value is not None and not 1 <= value <= MAX_SIDE:
            raise UsageError("out of range", setting=name, value=value, cure=f"1 to {MAX_SIDE}")
    if path.suffix.lower() in RAW_SUFFIXES:
        if video_stream:
            raise UsageError("raw video has one stream", setting="video_stream", value=video_stream, cure="leave it out")
        return probe_raw(path, width, height, pix_fmt, frame_rate, duration)
    clip = _probe_container(path, duration, frame_rate, video_stream)
    _check_settings(clip, width, height, pix_fmt, frame_rate)
    return clip


def _probe_container(path: Path, duration: float, given_rate: Fraction | None, video_stream: int | None) -> Clip:
    try:
        container = av.open(f"file:{path}", metadata_errors=METADATA_ERRORS)
    except (av.FFmpegError, OSError) as error:
        raise SourceError(
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
            sample_aspect_ratio=video.sample_aspect_ratio or Fraction(1),
            rotation=round(first.rotation / 90) * 90 % 360,
            audio_codecs=tuple(s.codec_context.name for s in container.streams.audio),
            other_streams=tuple(s.type for s in container.streams if s.type != "audio" and s is not video),
            size_bytes=path.stat().st_size,
            stream=stream,
            container=container.format.name,
            given_rate=own_rate,
        )


def _first_frame(path: Path, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> av.VideoFrame:
    """Decode the first frame: it has the rotation, and a valid header does not prove that it exists. Raises `SourceError`."""
    cure = "give an intact file"
    reason = None
    packets = container.demux(video)
    try:
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
