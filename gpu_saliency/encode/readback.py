"""Reads the video of an output back: all packets, and its first frame or every frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.container
import av.video.stream
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import EncodeError, setting
from gpu_saliency.source.clip import Clip, libav_reason
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
    """Those of key frames."""
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

    In a closed group no packet after a key frame is shown before it (ISO/IEC 23009-1 calls its start a stream access point of
    type 1): packagers cut there.
    """
    shown = sorted(read.pts)
    wanted, found = shown[::keyint], sorted(read.keys)
    if found != wanted:
        numbers = [shown.index(pts) for pts in found[:6]]
        problem = f"ffmpeg wrote key frames at frames {', '.join(map(str, numbers))} ..., not at every {keyint} frames"
        raise EncodeError(problem, cure=f"try another encoder, or leave {setting('keyint')} out")
    key, keys = None, set(read.keys)
    for pts in read.pts:
        key = pts if pts in keys else key
        if key is not None and pts < key:
            problem = f"ffmpeg wrote open groups: frame {shown.index(pts)} refers across the key frame after it"
            raise EncodeError(problem, cure=f"try another encoder, or leave {setting('keyint')} out")


def read_frames(container: av.container.InputContainer, video: av.video.stream.VideoStream, *, decode: bool) -> ReadFrames:
    """Read all packets of ``video``; with ``decode`` decode every frame, else the first one. Raises `av.FFmpegError`."""
    read = ReadFrames(decode, video.time_base or Fraction(1))
    video.thread_type = "AUTO" if decode else "SLICE"
    for packet in container.demux(video):
        if packet.size:
            read.packets += 1
            if packet.pts is not None:
                read.pts.append(packet.pts)
                if packet.is_keyframe:
                    read.keys.append(packet.pts)
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
