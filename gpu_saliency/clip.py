"""What the source is: a video file in a container, or raw planar video whose geometry the user gives.

Consumed by the decoder (what to open) and by the encode (what to keep). Everything that can be wrong with a source before its
first frame is decoded is found here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.video.stream
from av.codec.hwaccel import HWAccel

from gpu_saliency.errors import SourceError, SourceMissingError, UsageError

RAW_SUFFIXES = frozenset({".yuv", ".raw"})
RAW_PIX_FMTS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
DEFAULT_RAW_PIX_FMT = "yuv420p"
DEFAULT_RAW_FRAME_RATE = Fraction(24)
MAX_SIDE = 16384
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

# libavutil's "unspecified" is 2 in AVColorPrimaries, AVColorTransferCharacteristic and AVColorSpace, and 0 in AVColorRange.
_UNSPECIFIED = 2


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How the source says its samples are to be read; the numbers of ITU-T H.273, as libavutil uses them."""

    color_range: int = 0
    """0 unspecified, 1 limited ("tv"), 2 full ("pc")."""
    colorspace: int = _UNSPECIFIED
    color_primaries: int = _UNSPECIFIED
    color_trc: int = _UNSPECIFIED

    def filter(self) -> str:
        """The ffmpeg filter that sets these tags; empty where none is specified."""
        options = [f"range={self.color_range}"] if self.color_range else []
        for option, value in (
            ("colorspace", self.colorspace),
            ("color_primaries", self.color_primaries),
            ("color_trc", self.color_trc),
        ):
            options += [f"{option}={value}"] if value != _UNSPECIFIED else []
        return "setparams=" + ":".join(options) if options else ""

    @classmethod
    def of(cls, codec_context: av.VideoCodecContext) -> ColorTags:
        c = codec_context
        return cls(int(c.color_range), int(c.colorspace), int(c.color_primaries), int(c.color_trc))


@dataclass(frozen=True, slots=True)
class Clip:
    """One source, probed. Widths and heights are in pixels as coded, before any rotation that the file asks a player for."""

    path: Path
    width: int
    height: int
    pix_fmt: str
    frame_rate: Fraction
    """Average frames per second."""
    frame_count: int | None
    """What the container declares (exact for raw video), cut to ``duration``; ``None`` where it does not say."""
    duration: float = 0.0
    """Seconds to use from the start; 0 uses all."""
    codec: str = "rawvideo"
    color: ColorTags = field(default_factory=ColorTags)
    is_raw: bool = False
    demuxer: str = "rawvideo"
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    """Degrees, counter-clockwise, by which a player turns the picture; a multiple of 90."""
    audio_codecs: tuple[str, ...] = ()
    other_streams: tuple[str, ...] = ()
    """Types of the streams that an encode leaves out: further video, subtitles, data."""
    size_bytes: int = 0

    @property
    def url(self) -> str:
        """The path for libavformat, which would take the ``a:`` of a file named ``a:b.mp4`` for a protocol."""
        return f"file:{self.path}"

    @property
    def upright_aspect(self) -> Fraction:
        """Width / height as shown: with the shape of the pixels, after the rotation."""
        aspect = self.width * self.sample_aspect_ratio / self.height
        return aspect if self.rotation % 180 == 0 else 1 / aspect

    @property
    def demuxer_options(self) -> dict[str, str]:
        """What libavformat must be told to read raw video; empty for a container, which says it itself."""
        if not self.is_raw:
            return {}
        return {
            "video_size": f"{self.width}x{self.height}",
            "pixel_format": self.pix_fmt,
            "framerate": str(self.frame_rate),
        }

    def fingerprint(self) -> str:
        """SHA-256 over 64 pieces of 64 KiB spread evenly over the file (all of it, up to 4 MiB), and its size; hexadecimal.

        Cheap on a file of any length; it finds another file, a cut and a re-encode, not one changed byte in a huge file.
        """
        piece, pieces = 65536, 64
        digest = hashlib.sha256(str(self.size_bytes).encode())
        with self.path.open("rb") as file:
            if self.size_bytes <= piece * pieces:
                digest.update(file.read())
            else:
                for i in range(pieces):
                    file.seek((self.size_bytes - piece) * i // (pieces - 1))
                    digest.update(file.read(piece))
        return digest.hexdigest()


@contextmanager
def open_clip(clip: Clip, hwaccel: HWAccel | None = None) -> Iterator[av.container.InputContainer]:
    """Open ``clip`` for demuxing. Raises `SourceError` if libavformat refuses it."""
    try:
        container = av.open(clip.url, format="rawvideo" if clip.is_raw else None, options=clip.demuxer_options, hwaccel=hwaccel)
    except (av.FFmpegError, OSError) as error:
        on = "" if hwaccel is None else " with a hardware decoder"
        raise SourceError(f"{clip.path}: cannot be opened{on}: {_reason(error)}") from error
    with container:
        yield container


def video_stream_of(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The first one that is not a cover picture. Raises `StopIteration` where there is none, which `probe_clip` has excluded."""
    return next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)


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


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
