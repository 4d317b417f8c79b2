"""A probed source: a video file in a container, or raw planar video of which the user gives size, format and rate.

Produced by `probe_clip`; consumed by the decoders, and by the encode, which keeps its colour tags, aspect and audio.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av.video.stream
from av.codec.hwaccel import HWAccel

from gpu_saliency.errors import SourceError

MAX_SIDE = 16384
"""Largest supported width and height of a clip in pixels."""

# libavutil's "unspecified" is 2 in AVColorPrimaries, AVColorTransferCharacteristic and AVColorSpace, and 0 in AVColorRange.
_UNSPECIFIED = 2
METADATA_ERRORS = "replace"
"""How PyAV decodes metadata that is not UTF-8, such as Latin-1 titles in AVI: each undecodable byte becomes U+FFFD."""
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
    """Frames within ``duration``, as the container states (exact for raw video); ``None`` where it states no number."""
    duration: float = 0.0
    """Length of the used part in seconds, from the start; 0 is the whole clip."""
    codec: str = "rawvideo"
    color: ColorTags = field(default_factory=ColorTags)
    is_raw: bool = False
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    """Rotation that a player applies to the picture: degrees, counter-clockwise, a multiple of 90."""
    audio_codecs: tuple[str, ...] = ()
    other_streams: tuple[str, ...] = ()
    """Types of the streams that an encode omits: further video, subtitles, data."""
    size_bytes: int = 0
    stream: int = 0
    """Number of the video stream among those that are no cover pictures, from 0: ``0:V:stream`` of ffmpeg."""
    container: str = ""
    """libavformat's name of the container; empty for raw video."""
    given_rate: Fraction | None = None
    """Frame rate that the user gave for a bare bitstream such as .h264; its frames are then counted at this rate."""

    @property
    def url(self) -> str:
        """The path as a ``file:`` URL; without it libavformat would read the ``a:`` of a file named ``a:b.mp4`` as a protocol."""
        return f"file:{self.path}"

    @property
    def upright_aspect(self) -> Fraction:
        """Width / height of the picture as displayed: with the sample aspect ratio, after the rotation."""
        aspect = self.width * self.sample_aspect_ratio / self.height
        return aspect if self.rotation % 180 == 0 else 1 / aspect

    @property
    def demuxer_options(self) -> dict[str, str]:
        """The options that libavformat needs for raw video and for the given rate of a bare bitstream; empty for a container."""
        if not self.is_raw:
            return {} if self.given_rate is None else {"framerate": str(self.given_rate)}
        return {
            "video_size": f"{self.width}x{self.height}",
            "pixel_format": self.pix_fmt,
            "framerate": str(self.frame_rate),
        }

    def fingerprint(self) -> str:
        """A hash that identifies the file: SHA-256, hexadecimal, over its size and 64 evenly spread pieces of 64 KiB.

        Files of up to 4 MiB are hashed completely, so the cost does not grow with the file. The hash detects another file, a
        shortened one and a re-encode, but not every changed byte in a larger file.
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
    """Open ``clip`` for demuxing, and for decoding with ``hwaccel``. Raises `SourceError` if libavformat cannot open it."""
    try:
        container = av.open(
            clip.url,
            format="rawvideo" if clip.is_raw else None,
            options=clip.demuxer_options,
            hwaccel=hwaccel,
            metadata_errors=METADATA_ERRORS,
        )
    except (av.FFmpegError, OSError) as error:
        on = "" if hwaccel is None else " with a hardware decoder"
        raise SourceError(f"{clip.path}: cannot be opened{on}: {libav_reason(error)}", cure=_OPEN_CURE) from error
    with container:
        yield container


def video_stream_of(container: av.container.InputContainer, number: int) -> av.video.stream.VideoStream:
    """The video stream ``number`` of ``container`` (see `Clip.stream`); a probed clip always has it."""
    return moving_streams(container)[number]


def moving_streams(container: av.container.InputContainer) -> list[av.video.stream.VideoStream]:
    """The video streams of ``container`` that are no cover pictures, in order."""
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def libav_reason(error: Exception) -> str:
    """The message of an error of libav or the operating system, without its number and path."""
    return str(getattr(error, "strerror", None) or error)
