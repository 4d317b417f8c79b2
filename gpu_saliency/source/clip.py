"""What the source is: a video file in a container, or raw planar video whose geometry the user gives.

Consumed by the decoder (what to open) and by the encode (what to keep). Everything that can be wrong with a source before its
first frame is decoded is found here.
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


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
