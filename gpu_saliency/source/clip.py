"""A probed source: a video file in a container, or raw planar video of which the user gives size, format and rate.

Produced by `probe_clip`; consumed by the decoders, and by the encode, which keeps its colour tags, aspect and audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av.video.stream
from av.codec.hwaccel import HWAccel

from gpu_saliency.errors import Interrupted, OutputError, SourceError
from gpu_saliency.process.stalls import STALL_CURE, stall_timeout
from gpu_saliency.source.formats import METADATA_ERRORS, file_options
from gpu_saliency.source.identity import FileIdentity
from gpu_saliency.source.orientation import Orientation
from gpu_saliency.source.span import Span

MAX_SIDE = 16384
"""Largest supported width and height of a clip in pixels."""

MAX_PIXEL_ASPECT = 1000
"""Largest supported ratio of a pixel's sides; real ones are below 3."""

# libavutil's "unspecified" is 2 in AVColorPrimaries, AVColorTransferCharacteristic and AVColorSpace, and 0 in AVColorRange.
_UNSPECIFIED = 2
_OPEN_CURE = "check that the file still exists and can be read"


@dataclass(frozen=True, slots=True)
class ColorTags:
    """Colour tags of a video stream, as the numbers of ITU-T H.273 (the range as libavutil's AVColorRange)."""

    color_range: int = 0
    """0 unspecified, 1 limited ("tv"), 2 full ("pc")."""
    colorspace: int = _UNSPECIFIED
    color_primaries: int = _UNSPECIFIED
    color_trc: int = _UNSPECIFIED

    def filter(self) -> str:
        """The ffmpeg filter that sets these tags; empty where all are unspecified."""
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
        """Read the tags of a decoder or encoder."""
        c = codec_context
        return cls(int(c.color_range), int(c.colorspace), int(c.color_primaries), int(c.color_trc))


@dataclass(frozen=True, slots=True)
class Clip:
    """A probed source. Width and height are in pixels as coded, before the rotation that a player applies."""

    path: Path
    width: int
    height: int
    pix_fmt: str
    frame_rate: Fraction
    """Average frames per second."""
    frame_count: int | None
    """Frames from ``start`` on within ``duration``, as the container states (exact for raw video);
    ``None`` where it states no number."""
    duration: float = 0.0
    """Length of the used part in seconds, from ``start``; 0 goes to the end of the file."""
    codec: str = "rawvideo"
    color: ColorTags = field(default_factory=ColorTags)
    is_raw: bool = False
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    """Rotation that a player applies to the picture: degrees, counter-clockwise, a multiple of 90."""
    mirrored: bool = False
    """Whether a player exchanges left and right after the rotation."""
    audio_codecs: tuple[str, ...] = ()
    other_streams: tuple[str, ...] = ()
    """Types of the streams that an encode omits: further video, subtitles, data."""
    size_bytes: int = 0
    identity: FileIdentity | None = field(default=None, repr=False, compare=False)
    """The file when it was probed; ``None`` for clips that `probe_clip` did not make."""
    stream: int = 0
    """Number of the video stream among those that are no cover pictures, from 0: ``0:V:stream`` of ffmpeg."""
    container: str = ""
    """libavformat's name of the container; empty for raw video."""
    given_rate: Fraction | None = None
    """Frame rate that the user gave for a bare bitstream such as .h264; its frames are then counted at this rate."""
    allow_playlists: bool = False
    """Whether the file may be a playlist, and libavformat may read the local files that it names."""
    start: float = 0.0
    """Begin of the used part, in seconds after the first frame of the file. A frame is used if its time stamp lies in
    ``[start, start + duration)``; frame numbers count from the first used frame."""
    span: Span | None = None
    """Where ``start`` is in the file; ``None`` for a clip that begins with the file."""

    @property
    def url(self) -> str:
        """The path as a ``file:`` URL; without it libavformat would read the ``a:`` of a file named ``a:b.mp4`` as a protocol."""
        return f"file:{self.path}"

    @property
    def orientation(self) -> Orientation:
        """How a player turns and mirrors the picture."""
        return Orientation(self.rotation // 90, self.mirrored)

    @property
    def length(self) -> float:
        """Seconds from the first used frame to the end of the used part; 0 goes to the end of the file."""
        return self.duration if self.span is None else self.span.length

    @property
    def seconds(self) -> float | None:
        """Length of the used part in seconds, by the number of frames; ``None`` where the container states none."""
        return None if self.frame_count is None else float(self.frame_count / self.frame_rate)

    @property
    def upright_aspect(self) -> Fraction:
        """Width / height of the picture as displayed: with the sample aspect ratio, after the rotation."""
        aspect = self.width * self.sample_aspect_ratio / self.height
        return aspect if self.rotation % 180 == 0 else 1 / aspect

    @property
    def demuxer_options(self) -> dict[str, str]:
        """libavformat's options for the clip: the format of raw video; what a container may read, and a bare bitstream's rate."""
        if not self.is_raw:
            rate = {} if self.given_rate is None else {"framerate": str(self.given_rate)}
            return rate | file_options(self.path, allow_playlists=self.allow_playlists, container=self.container)
        return {
            "protocol_whitelist": "file",
            "video_size": f"{self.width}x{self.height}",
            "pixel_format": self.pix_fmt,
            "framerate": str(self.frame_rate),
        }

    def fingerprint(self) -> str:
        """A hash that identifies the file: SHA-256, hexadecimal, over its size and 64 evenly spread pieces of 64 KiB.

        Files of up to 4 MiB are hashed completely, so the cost does not grow with the file. The hash detects another file, a
        shortened one and a re-encode, but not every changed byte in a larger file. It is taken once, when the clip is probed.
        """
        return (self.identity or FileIdentity.of(self.path)).fingerprint

    def check_unchanged(self) -> None:
        """Raise `SourceError` unless the file is still the one that was probed. Costs a few milliseconds."""
        change = None if self.identity is None else self.identity.change(self.path)
        if change is not None:
            raise SourceError(f"{self.path}: {change}: it changed during the run", cure="run again when nothing writes to it")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn an error of the block into one about the file if that has changed: a decoder's words would mislead."""
        try:
            yield
        except (Interrupted, OutputError):
            raise
        except Exception:
            self.check_unchanged()
            raise


@contextmanager
def open_clip(clip: Clip, hwaccel: HWAccel | None = None) -> Iterator[av.container.InputContainer]:
    """Open ``clip`` for demuxing, and for decoding with ``hwaccel``.

    Raises `SourceError` if libavformat cannot open it, and if the block gets no data for as long as the stall limit.
    """
    form = "rawvideo" if clip.is_raw else None
    try:
        container = av.open(
            clip.url,
            format=form,
            options=clip.demuxer_options,
            hwaccel=hwaccel,
            metadata_errors=METADATA_ERRORS,
            timeout=stall_timeout(),
        )
    except (av.FFmpegError, OSError) as error:
        on = "" if hwaccel is None else " with a hardware decoder"
        raise SourceError(f"{clip.path}: cannot be opened{on}: {libav_reason(error)}", cure=_OPEN_CURE) from error
    with container:
        try:
            yield container
        except av.error.ExitError as error:
            raise SourceError(f"{clip.path}: {libav_reason(error)}", cure=STALL_CURE) from error


def video_stream_of(container: av.container.InputContainer, number: int) -> av.video.stream.VideoStream:
    """The video stream ``number`` of ``container`` (see `Clip.stream`); a probed clip always has it."""
    return moving_streams(container)[number]


def moving_streams(container: av.container.InputContainer) -> list[av.video.stream.VideoStream]:
    """The video streams of ``container`` that are no cover pictures, in order."""
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def pixel_aspect_of(name: str, video: av.video.stream.VideoStream) -> Fraction:
    """The sample aspect ratio of ``video``, 1 where it has none. Raises `SourceError` for one that no display can show."""
    found = video.sample_aspect_ratio or Fraction(1)
    if not 1 / Fraction(MAX_PIXEL_ASPECT) <= found <= MAX_PIXEL_ASPECT:
        raise SourceError(
            f"{name}: has pixels of {found.numerator}:{found.denominator}, at most {MAX_PIXEL_ASPECT}:1 is supported",
            cure="give it its right shape, such as ffmpeg -i FILE -c copy -aspect 16:9 OTHER",
        )
    return found


def libav_reason(error: Exception) -> str:
    """The message of an error of libav or the operating system, without its number and path."""
    if isinstance(error, av.error.ExitError):  # libav's name for the end by the stall limit
        return f"nothing could be read for {stall_timeout():g} s"
    return str(getattr(error, "strerror", None) or error)
