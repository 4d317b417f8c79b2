"""Divides the asked size of a file between video, audio and container."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.errors import UsageError
from gpu_saliency.source.clip import open_clip

LEAST_BITRATE = 1000
"""Bits per second, the least that an encode accepts."""
_MP4, _MATROSKA = (".mp4", ".mov", ".m4v"), (".mkv", ".webm")
_PER_FILE, _PER_PACKET, _PER_OTHER_PACKET = 2000, {_MP4: (14, 8), _MATROSKA: (9, 6)}, (12, 12)
"""Bytes of a container: of each file, and for each packet of video and of audio.

MP4 has tables of sizes, offsets and times, Matroska block headers."""
_PACKETS_PER_SECOND = 50
"""Of encoded audio: Opus has 50, AAC 47."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The bytes of a file by their use."""

    video: int
    audio: int
    container: int

    def bitrate(self, frames: int, frame_rate: Fraction) -> int:
        """Bits per second of video that fill the video's bytes with ``frames`` frames."""
        return int(self.video * 8 * frame_rate / frames)

    def file_bytes(self, video: int) -> int:
        """Bytes of the file with ``video`` bytes of video."""
        return video + self.audio + self.container


def size_budget(job: EncodeJob, frames: int, size: int, suffix: str) -> Budget:
    """Divide ``size`` bytes for ``frames`` frames in a container with ``suffix``, such as ``.mp4``.

    The source's audio packets, which the output copies, are read. Raises `SourceError`, or `UsageError` where too little is left.
    """
    audio, packets = (0, 0) if not job.audio else _audio_of(job) if job.coding is None else _encoded_audio(job, frames, size)
    of_video, of_audio = next((cost for suffixes, cost in _PER_PACKET.items() if suffix.lower() in suffixes), _PER_OTHER_PACKET)
    container = _PER_FILE + of_video * frames + of_audio * packets
    budget = Budget(size - audio - container, audio, container)
    if budget.video <= 0 or budget.bitrate(frames, job.shaped.frame_rate) < LEAST_BITRATE:
        problem = f"leaves too little for the video: audio takes {audio:,} bytes, the container about {container:,}"
        raise UsageError(problem, setting="target_size", value=size, cure="give more bytes")
    return budget


def _encoded_audio(job: EncodeJob, frames: int, size: int) -> tuple[int, int]:
    """Bytes and number of the packets of audio that is encoded, by its bit rate. Raises `UsageError` for a lossless codec."""
    assert job.coding is not None
    seconds, total = float(frames / job.shaped.frame_rate), 0.0
    with open_clip(job.clip) as container:
        streams = [stream.codec_context for stream in container.streams.audio]
        for context in streams:
            rate = job.coding.bits_per_second(context.layout.nb_channels or 2)
            if rate is None:
                problem = f"the size of {job.coding.codec} audio is not known before the encode"
                raise UsageError(problem, setting="target_size", value=size, cure="use an audio codec with a bit rate, such as aac")
            total += seconds * rate / 8
    return round(total), round(seconds * _PACKETS_PER_SECOND) * len(streams)


def _audio_of(job: EncodeJob) -> tuple[int, int]:
    """Bytes and number of the audio packets within the clip's duration."""
    total = count = 0
    with open_clip(job.clip) as container:
        for packet in container.demux(container.streams.audio):
            clip = job.clip
            seconds = None if packet.pts is None else float(packet.pts * packet.time_base) - (clip.span.seconds if clip.span else 0)
            outside = seconds is not None and (seconds < 0 < clip.start or 0 < clip.length <= seconds)
            if packet.size and not outside:
                total += packet.size
                count += 1
    return total, count
