"""What a file really has: read with PyAV and with ffmpeg, not with the program that is tested."""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import av.container
from clips import FFMPEG

from fuzzing.isolated import Lost, isolated

# Demuxers that take the duration from a header. Others estimate it from what is there, which declares nothing.
_DECLARING = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf", "mxf", "ivf"}
# Errors of ffmpeg's null muxer and of its encoder stage, and of its search for the last time stamp: no faults of the file.
_NOT_OF_THE_FILE = re.compile(
    r"monoton|read_timestamp failed|null @|Error while filtering|Error (muxing|submitting)|wrapped_avframe|Conversion failed"
)
_DAMAGE_IN_WARNINGS = re.compile(r"corrupt|partial file|truncat|premature", re.IGNORECASE)
_MOST_FRAMES = 2000


@dataclass(slots=True)
class Facts:
    """A file's video as PyAV and ffmpeg decode it, and what its headers declare."""

    error: str = ""
    """Why nothing is known; empty if the file could be read."""
    format: str = ""
    codec: str = ""
    size: tuple[int, int] = (0, 0)
    """Width and height of the first frame."""
    frames: int = 0
    """Decoded by PyAV."""
    cli_frames: int = 0
    """Decoded by ffmpeg."""
    times: list[float] | None = None
    """Presentation time of each frame in seconds; ``None`` where one is missing or they do not rise."""
    audio: int = 0
    """Audio streams with a known codec and at least one packet."""
    damage: list[str] = field(default_factory=list)
    """Errors of demuxer and decoder, one line for each kind."""
    exact: int | None = None
    """Frames that a header or an index counts, without those that an edit list leaves out."""
    declared_seconds: float | None = None
    """Length of the video stream, else of the file, by the header."""
    covered_seconds: float = 0.0
    """Length of what was decoded or, if the declaration is the file's, of the longest stream."""
    frame_seconds: float = 0.0
    """Typical time between two frames."""

    @property
    def missing(self) -> str:
        """How many frames fewer than declared there are, as a text; empty if none are surely missing."""
        if self.exact is not None and self.frames < self.exact - (self.format in ("avi", "ivf")):
            return f"{self.frames} of {self.exact} declared frames"
        if self.declared_seconds is not None and self.frame_seconds:
            short = self.declared_seconds - self.covered_seconds
            # Headers are rounded, and some muxers count one frame more than there is.
            if short > 2.5 * self.frame_seconds and short > 0.02 * self.declared_seconds:
                return f"{self.covered_seconds:.3f} of {self.declared_seconds:.3f} declared seconds"
        return ""


def read_facts(path: Path, seconds: float) -> Facts:
    """Describe the file at ``path``; ``seconds`` limits each of the readers."""
    try:
        found = Facts(**isolated(lambda: asdict(_read(path)), seconds))
    except Lost as error:
        return Facts(error=f"PyAV {error}")
    if found.times is not None:
        found.times = [float(one) for one in found.times]
    if not found.error:
        _ask_ffmpeg(path, found, seconds)
    return found


def _read(path: Path) -> Facts:
    found = Facts()
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            _read_video(container, found, path)
    except (av.FFmpegError, ValueError, UnicodeError, IndexError) as error:
        found.error = found.error or f"{type(error).__name__}: {error}"
    return found


def _read_video(container: av.container.InputContainer, found: Facts, path: Path) -> None:
    video: Any = container.streams.best("video")
    if video is None:
        found.error = "no video"
        return
    # In slice threads libavcodec's VP8 decoder refuses a frame whose bits ran out, which it decodes in all other modes.
    video.thread_type = "NONE"
    found.format, found.codec = container.format.name, video.codec_context.name
    times: list[float | None] = []
    ends: dict[int, float] = {}
    starts: dict[int, float] = {}
    discarded = packets = 0
    heard: set[int] = set()
    demuxer = container.demux()
    while True:
        try:
            packet = next(demuxer)
        except StopIteration:
            break
        except av.FFmpegError as error:
            found.damage.append(f"demuxer: {error}")
            break
        if packet.size:
            heard.add(packet.stream_index)
            if packet.is_corrupt:
                found.damage.append("a packet is marked corrupt")
            if packet.pts is not None and packet.time_base is not None:
                start = float(packet.pts * packet.time_base)
                starts[packet.stream_index] = min(start, starts.get(packet.stream_index, start))
                end = start + float((packet.duration or 0) * packet.time_base)
                ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
        if packet.stream.index != video.index:  # at the end PyAV gives an empty packet of each stream, with 0 as its own index
            continue
        packets += bool(packet.size)
        discarded += packet.is_discard
        try:
            frames: list[Any] = packet.decode()
        except (av.FFmpegError, ValueError) as error:
            found.damage.append(f"decoder: {error}")
            continue
        for frame in frames:
            if not times:
                found.size = (frame.width, frame.height)  # the container's may differ
            times.append(None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base))
            if frame.is_corrupt:
                found.damage.append("a frame is marked corrupt")
        if len(times) > _MOST_FRAMES:
            break
    found.damage = sorted(set(found.damage))
    found.frames = len(times)
    rising = all(a is not None and b is not None and a < b for a, b in pairwise(times))
    found.times = [time for time in times if time is not None] if rising and times and times[0] is not None else None
    # PyAV has no codec context for a codec that FFmpeg does not know.
    found.audio = sum(1 for one in container.streams.audio if one.index in heard and one.codec_context is not None)
    _read_declarations(container, video, found, path, discarded, starts, ends)


def _read_declarations(
    container: av.container.InputContainer,
    video: Any,
    found: Facts,
    path: Path,
    discarded: int,
    starts: dict[int, float],
    ends: dict[int, float],
) -> None:
    known = found.times or []
    steps = sorted(b - a for a, b in pairwise(known))
    found.frame_seconds = steps[len(steps) // 2] if steps else 0.0
    if found.format in ("mov,mp4,m4a,3gp,3g2,mj2", "avi", "ivf") and video.frames:
        found.exact = max(0, video.frames - discarded)
    elif found.format == "apng":
        head = path.read_bytes()[:4096]
        at = head.find(b"acTL")
        found.exact = int.from_bytes(head[at + 4 : at + 8], "big") if at >= 0 else None
    if found.format not in _DECLARING:
        return
    length = video.duration * video.time_base if video.duration is not None and video.time_base else _tagged(video.metadata)
    if length is not None:
        # The tag of a Matroska stream may be that of a longer file, from which it was copied; the file's own duration bounds it.
        whole = container.duration / 1_000_000 if container.duration and found.format == "matroska,webm" else math.inf
        found.declared_seconds = min(float(length), whole)
        found.covered_seconds = known[-1] - known[0] + found.frame_seconds if known else 0.0
    elif container.duration is not None and ends:
        # The duration counts from 0 in Matroska and FLV.
        found.declared_seconds = container.duration / 1_000_000
        found.covered_seconds = max(ends.values()) - min(0.0, *starts.values())


def _tagged(metadata: dict[str, str]) -> Fraction | None:
    """The length of a Matroska stream, which muxers write as a tag."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", metadata.get("DURATION", ""))
    return Fraction(match[1]) * 3600 + Fraction(match[2]) * 60 + Fraction(match[3]) if match else None


def _ask_ffmpeg(path: Path, found: Facts, seconds: float) -> None:
    """Let ffmpeg decode the same stream; adds its number of frames and its errors to ``found``."""
    command = [FFMPEG, "-hide_banner", "-nostdin", "-v", "level+warning", "-progress", "pipe:1", "-i", f"file:{path}"]
    command += ["-an", "-sn", "-dn", "-fps_mode", "passthrough", "-frames:v", str(_MOST_FRAMES), "-f", "null", "-"]
    with tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            found.damage.append("ffmpeg takes too long")
            return
        errors.seek(0)
        lines = errors.read(1 << 20).decode(errors="replace").splitlines()
    counts = re.findall(rb"^frame=\s*(\d+)", done.stdout, re.MULTILINE)
    found.cli_frames = int(counts[-1]) if counts else 0
    for line in lines:
        serious = "[error]" in line or "[fatal]" in line or "[panic]" in line
        if (serious or _DAMAGE_IN_WARNINGS.search(line)) and not _NOT_OF_THE_FILE.search(line):
            found.damage.append(f"ffmpeg: {re.sub(r'0x[0-9a-f]+', '', line)[:160]}")
    found.damage = list(dict.fromkeys(found.damage))[:8]
