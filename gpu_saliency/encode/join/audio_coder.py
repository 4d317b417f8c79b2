"""`AudioCoder`: decodes the packets of a source's audio stream and encodes them for the joined file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import av
import av.audio.stream
import av.container
import av.stream

from gpu_saliency.encode.audio import AudioCoding
from gpu_saliency.errors import EncodeError

AnyPacket: TypeAlias = "av.Packet[av.stream.Stream]"


class AudioCoder:
    """Encodes one stream. PyAV resamples to the encoder's format, rate and layout; time stamps follow those of the source."""

    def __init__(self, coding: AudioCoding, target: av.container.OutputContainer, source: av.audio.stream.AudioStream) -> None:
        """Adds the stream to ``target``. Raises `ValueError` where the container has no place for it."""
        self.stream = coding.add_to(target, source)
        self._source = source
        self._refused = self._frames = 0

    def coded(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Yield what the encoder makes of ``packet``; one that cannot be decoded is counted and left out."""
        try:
            frames = self._source.codec_context.decode(packet)
        except (av.FFmpegError, ValueError):
            self._refused += 1
            return
        yield from self._encoded(frames)

    def rest(self) -> Iterator[AnyPacket]:
        """Yield what the decoder and the encoder still hold."""
        try:
            frames = self._source.codec_context.decode(None)
        except (av.FFmpegError, ValueError):
            frames = []
        yield from self._encoded(frames)
        if self._frames:
            yield from self.stream.encode(None)

    def losses(self) -> list[str]:
        """A text if packets could not be decoded."""
        if not self._refused:
            return []
        return [f"{self._refused} packets of the source's stream {self._source.index} (audio) cannot be decoded and are left out"]

    def _encoded(self, frames: list[av.AudioFrame]) -> Iterator[AnyPacket]:
        for frame in frames:
            self._frames += 1
            try:
                yield from self.stream.encode(frame)
            except ValueError as error:
                problem = f"the source's stream {self._source.index} (audio) changes its format: {error}"
                raise EncodeError(problem, cure="leave the audio codec out, which copies the audio") from error
