"""Reads the video of an output back: all packets, and its first frame or every frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.video.stream
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.peak import PeakRate, Vbv
from gpu_saliency.errors import EncodeError, setting
from gpu_saliency.source.clip import Clip, libav_reason
from gpu_saliency.source.formats import open_file
from gpu_saliency.source.orientation import Orientation, orientation_of

_CURE = "try again, or another encoder"


@dataclass(slots=True)
class ReadFrames:
    """Facts about the frames of a file."""

    is_complete: bool
    """Whether every frame was decoded; else the first one."""
    time_base: Fraction
    packets: int = 0
    decoded: int = 0
    pts: list[int] = field(default_factory=list)
    """Presentation times of the packets, in ``time_base``, in decode order."""
    keys: list[int] = field(default_factory=list)
    """Positions of the key frames' packets, in decode order."""
    dts: list[int] = field(default_factory=list)
    """Decode times of the packets, in ``time_base``, where the container has them."""
    bits: list[int] = field(default_factory=list)
    """Size of each packet, in decode order."""
    formats: set[tuple[str, int, int]] = field(default_factory=set)
    """Pixel format, width and height of the decoded frames."""
    orientation: Orientation | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return self.decoded if self.is_complete else self.packets

    @property
    def pix_fmt(self) -> str | None:
        """Pixel format of the first frame."""
        return min(self.formats)[0] if self.formats else None

    def check(self, clip: Clip) -> None:
        """Raise `EncodeError` unless the frames could be decoded, and all have one format and the size of ``clip``."""
        if self.errors:
            raise EncodeError(f"ffmpeg wrote video that cannot be decoded: {self.errors[0]}", cure=_CURE)
        if not self.decoded:
            raise EncodeError("ffmpeg wrote video without a frame that can be decoded", cure=_CURE)
        if len(self.formats) > 1 or any((width, height) != (clip.width, clip.height) for _, width, height in self.formats):
            texts = " and ".join(f"{width}x{height} {name}" for name, width, height in sorted(self.formats))
            raise EncodeError(f"ffmpeg wrote frames of {texts}, {clip.width}x{clip.height} was expected", cure=_CURE)

    def peak(self, vbv: Vbv) -> PeakRate | None:
        """Simulate the buffer ``vbv`` over the packets; ``None`` where some have no time.

        Decode times are those of the frames, in order: containers may lack them, or state a delay that changes nothing here. AVI
        has decode times only.
        """
        times = sorted(self.pts if len(self.pts) == len(self.bits) else self.dts)
        if not self.bits or len(times) != len(self.bits):
            return None
        return vbv.check(self.bits, [float(time * self.time_base) for time in times])

    @property
    def repeated(self) -> int:
        """Number of frames that have the time of another one."""
        return len(self.pts) - len(set(self.pts))

    def latest(self, seconds: NDArray[np.float64] | None) -> tuple[int, float] | None:
        """The frame that is farthest from its time in ``seconds`` ``[frames]``, and by how much; ``None`` if all are in time.

        Both are counted from the first frame. A time may differ by a tick of the file and a microsecond.
        """
        if seconds is None or len(seconds) != len(self.pts) or not len(seconds):
            return None
        found = np.sort(np.array(self.pts, np.int64))
        late = (found - found[0]) * float(self.time_base) - (seconds - seconds[0])
        worst = int(np.abs(late).argmax())
        return (worst, float(late[worst])) if abs(late[worst]) > float(self.time_base) + 1e-6 else None


def check_key_frames(read: ReadFrames, keyint: int) -> None:
    """Raise `EncodeError` unless every ``keyint``-th frame is a key frame and no other, and no frame refers across one.

    In a closed group all packets after a key frame are shown after it (ISO/IEC 23009-1 calls its start a stream access point of
    type 1); so a key frame has the same position in the order of decoding and in that of presentation. Packagers cut there.
    """
    cure = f"try another encoder, or leave {setting('keyint')} out"
    if read.keys != list(range(0, read.packets, keyint)):
        numbers = ", ".join(map(str, read.keys[:6]))
        raise EncodeError(f"ffmpeg wrote key frames at packets {numbers} ..., not at every {keyint} frames", cure=cure)
    if len(read.pts) < read.packets:  # AVI states no times
        return
    shown = sorted(read.pts)
    moved = next((key for key in read.keys if shown[key] != read.pts[key]), None)
    if moved is not None:
        raise EncodeError(f"ffmpeg wrote open groups: frames before the key frame {moved} refer across it", cure=cure)


def read_frames(container: av.container.InputContainer, video: av.video.stream.VideoStream, *, decode: bool) -> ReadFrames:
    """Read all packets of ``video``; with ``decode`` decode every frame, else the first one. Raises `av.FFmpegError`."""
    read = ReadFrames(decode, video.time_base or Fraction(1))
    video.thread_type = "AUTO" if decode else "SLICE"
    for packet in container.demux(video):
        if packet.size:
            read.packets += 1
            if packet.is_keyframe:
                read.keys.append(read.packets - 1)
            read.bits.append(8 * packet.size)
            if packet.pts is not None:
                read.pts.append(packet.pts)
            if packet.dts is not None:
                read.dts.append(packet.dts)
        if read.decoded and not decode:
            continue
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            read.errors.append(f"packet {read.packets - 1}: {libav_reason(error)}")
            continue
        for frame in frames:
            read.decoded += 1
            read.formats.add((frame.format.name, frame.width, frame.height))
            if read.orientation is None:
                read.orientation = orientation_of(frame)
            if frame.is_corrupt:
                read.errors.append(f"frame {read.decoded - 1} is damaged")
    return read


def key_frame_times(path: Path) -> tuple[float, ...]:
    """Seconds after the first frame at which the key frames of the video in ``path`` are shown. Raises `EncodeError`."""
    try:
        with open_file(path) as container:
            video = container.streams.video[0]
            stamps = [
                (packet.pts, packet.is_keyframe) for packet in container.demux(video) if packet.size and packet.pts is not None
            ]
            unit = float(video.time_base or 1)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise EncodeError(f"{path}: cannot be read back: {libav_reason(error)}", cure=_CURE) from error
    first = min((pts for pts, _ in stamps), default=0)
    return tuple(sorted((pts - first) * unit for pts, is_key in stamps if is_key))
