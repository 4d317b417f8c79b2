"""Split from gpu_saliency.clip."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av.video.stream

from gpu_saliency.errors import SourceError, SourceMissingError, UsageError
from gpu_saliency.source.clip import MAX_SIDE, Clip, ColorTags, _reason

RAW_SUFFIXES = frozenset({".yuv", ".raw"})


RAW_PIX_FMTS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")


DEFAULT_RAW_PIX_FMT = "yuv420p"


DEFAULT_RAW_FRAME_RATE = Fraction(24)


_NTSC_RATES = {
    name: Fraction(thousands * 1000, 1001)
    for thousands, names in {
        24: ("23.976", "23.98"),
        30: ("29.97",),
        48: ("47.952", "47.95"),
        60: ("59.94",),
        120: ("119.88",),
    }.items()
    for name in names
}


def probe_clip(
    path: str | Path,
    *,
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    frame_rate: Fraction | None = None,
    duration: float = 0.0,
) -> Clip:
    """Find out what ``path`` holds.

    Files that end in ``.yuv`` or ``.raw`` are raw planar video: ``width`` and ``height`` (pixels) are needed, ``pix_fmt``
    defaults to yuv420p and ``frame_rate`` to 24. For everything else the file says it, and a value given here that contradicts
    the file is an error, so that nobody encodes another geometry than he thinks. ``duration`` is in seconds, 0 for all.

    Raises `SourceMissingError`, `SourceError` or `UsageError`.
    """
    path = Path(path)
    if not 0 <= duration < math.inf:  # also refuses nan
        raise UsageError(f"--duration {duration:g}: out of range", cure="give seconds, or 0 for the whole clip")
    if not path.exists():
        raise SourceMissingError(f"{path}: no such file")
    if not path.is_file():
        raise SourceError(f"{path}: is not a regular file", cure="give the path of a video file")
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: is empty")
    for name, value in (("width", width), ("height", height)):
        if value is not None and not 1 <= value <= MAX_SIDE:
            raise UsageError(f"--{name} {value}: out of range", cure=f"1 to {MAX_SIDE}")
    if path.suffix.lower() in RAW_SUFFIXES:
        return _probe_raw(path, width, height, pix_fmt, frame_rate, duration)
    clip = _probe_container(path, duration)
    _check_flags(clip, width, height, pix_fmt, frame_rate)
    return clip


def _probe_raw(
    path: Path, width: int | None, height: int | None, pix_fmt: str | None, frame_rate: Fraction | None, duration: float
) -> Clip:
    if width is None or height is None:
        raise UsageError(f"{path}: raw video carries no geometry", cure="give --width and --height")
    pix_fmt = pix_fmt or DEFAULT_RAW_PIX_FMT
    if pix_fmt.endswith("p10"):
        pix_fmt += "le"
    if pix_fmt not in RAW_PIX_FMTS:
        raise UsageError(f"--pix-fmt {pix_fmt}: not supported for raw video", cure="one of " + ", ".join(RAW_PIX_FMTS))
    frame_rate = frame_rate or DEFAULT_RAW_FRAME_RATE
    size, frame_bytes = path.stat().st_size, raw_frame_bytes(width, height, pix_fmt)
    frames, rest = divmod(size, frame_bytes)
    if rest:
        raise SourceError(
            f"{path}: {size} bytes are {frames} frames of {width}x{height} {pix_fmt} and {rest} of {frame_bytes} bytes more",
            cure="check --width, --height and --pix-fmt; or the file is truncated",
        )
    return Clip(
        path=path,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        frame_rate=frame_rate,
        frame_count=_cut(frames, frame_rate, duration),
        duration=duration,
        is_raw=True,
        size_bytes=size,
    )


def raw_frame_bytes(width: int, height: int, pix_fmt: str) -> int:
    """Bytes of one frame of planar YUV, with chroma sides rounded up, as libavutil lays it out."""
    sub_x, sub_y = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[pix_fmt[3:6]]
    chroma = -(-width // sub_x) * -(-height // sub_y)
    return (width * height + 2 * chroma) * (2 if "10" in pix_fmt[6:] else 1)


def _probe_container(path: Path, duration: float) -> Clip:
    try:
        container = av.open(f"file:{path}")
    except (av.FFmpegError, OSError) as error:
        raise SourceError(
            f"{path}: is not a video that can be read: {_reason(error)}",
            cure="give a file in a container that ffmpeg reads, or raw video that ends in .yuv",
        ) from error
    with container:
        videos = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not videos:
            raise SourceError(f"{path}: has no video stream")
        video = videos[0]
        context = video.codec_context
        if not (1 <= context.width <= MAX_SIDE and 1 <= context.height <= MAX_SIDE) or context.pix_fmt is None:
            raise SourceError(f"{path}: the video stream states no usable size or pixel format")
        frame_rate = video.average_rate or video.guessed_rate
        if not frame_rate:
            raise SourceError(f"{path}: the video stream states no frame rate")
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
            demuxer=container.format.name,
            audio_codecs=tuple(s.codec_context.name for s in container.streams.audio),
            other_streams=tuple(s.type for s in container.streams if s.type != "audio" and s is not video),
            size_bytes=path.stat().st_size,
        )


def _first_frame(path: Path, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> av.VideoFrame:
    """Decode one frame: a file whose header is fine may still hold none, and only a frame tells the rotation."""
    try:
        return next(container.decode(video))
    except StopIteration:
        raise SourceError(f"{path}: holds no video frame") from None
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"{path}: its first frame cannot be decoded: {_reason(error)}") from error


def _declared_frames(
    container: av.container.InputContainer, video: av.video.stream.VideoStream, frame_rate: Fraction, duration: float
) -> int | None:
    frames = video.frames
    if not frames and container.duration:
        frames = round(container.duration / av.time_base * frame_rate)
    return _cut(frames, frame_rate, duration) if frames else None


def _cut(frames: int, frame_rate: Fraction, duration: float) -> int:
    """Frames whose time stamp lies before ``duration`` seconds; at least the first."""
    return min(frames, max(1, math.ceil(Fraction(duration).limit_denominator(10**6) * frame_rate))) if duration else frames


def _check_flags(clip: Clip, width: int | None, height: int | None, pix_fmt: str | None, frame_rate: Fraction | None) -> None:
    def refuse(flag: str, given: object, found: object) -> UsageError:
        return UsageError(f"{clip.path}: {flag} {given} contradicts the file, which has {found}", cure=f"leave {flag} out")

    if width is not None and width != clip.width:
        raise refuse("--width", width, clip.width)
    if height is not None and height != clip.height:
        raise refuse("--height", height, clip.height)
    if pix_fmt is not None and pix_fmt not in (clip.pix_fmt, clip.pix_fmt.removesuffix("le")):
        raise refuse("--pix-fmt", pix_fmt, clip.pix_fmt)
    if frame_rate is not None and abs(frame_rate / clip.frame_rate - 1) > Fraction(1, 1000):
        raise refuse("--framerate", f"{float(frame_rate):g}", f"{float(clip.frame_rate):.6g}")


def parse_frame_rate(text: str) -> Fraction:
    """``24``, ``24.0``, ``30000/1001``; 23.976, 29.97 and 59.94 become the fractions that they stand for. Frames per second."""
    try:
        rate = _NTSC_RATES.get(text) or Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--framerate {text}: is not a number", cure="for example 24, 23.976 or 30000/1001") from None
    if not Fraction(1, 100) <= rate <= 1000:
        raise UsageError(f"--framerate {text}: out of range", cure="0.01 to 1000 frames per second")
    return rate
