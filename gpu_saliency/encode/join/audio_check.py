"""Decodes copied audio beside the copy: what the source's damage makes undecodable is undecodable in the output too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import av
import av.audio.codeccontext
import av.stream

from gpu_saliency.source.clip import Clip, open_clip

_UNSETTLED = 10
"""Packets at the start of a range that are not judged: decoders of some codecs need the ones before it."""


class AudioCheck:
    """Counts the packets of copied audio that cannot be decoded.

    A decoder takes 0.03 to 0.06 s for a minute of stereo sound (AAC, AC-3, FLAC, MP3, Opus).
    """

    def __init__(self, *, from_start: bool) -> None:
        """``from_start`` is whether the first packet of each stream is that of its file."""
        self._unsettled = 0 if from_start else _UNSETTLED
        self._seen: Counter[int] = Counter()
        self._refused: Counter[int] = Counter()

    def see(self, packet: av.Packet[av.stream.Stream]) -> None:
        """Decode ``packet``, which still belongs to its source."""
        context = packet.stream.codec_context
        if not isinstance(context, av.audio.codeccontext.AudioCodecContext):
            return
        self._seen[packet.stream_index] += 1
        try:
            context.decode(packet)
        except (av.error.PatchWelcomeError, av.error.BugError):
            pass  # a feature of the codec that the decoder lacks
        except (av.FFmpegError, ValueError):
            self._refused[packet.stream_index] += self._seen[packet.stream_index] > self._unsettled

    def losses(self) -> list[str]:
        """A text for each stream with such packets."""
        texts = []
        for index, count in sorted((+self._refused).items()):
            counted = f"{count} of {self._seen[index]} packets of the source's stream {index} (audio)"
            texts.append(f"{counted} cannot be decoded; they are copied as they are")
        return texts


def audio_losses(clip: Clip, streams: Sequence[int]) -> list[str]:
    """Decode the audio among the source's ``streams`` of ``clip``; returns a text for each stream with undecodable packets.

    For an encode of which ffmpeg itself copies the audio. Raises `SourceError` if the clip cannot be opened.
    """
    check = AudioCheck(from_start=clip.span is None)
    with open_clip(clip) as source:
        audio = [source.streams[index] for index in streams if source.streams[index].type == "audio"]
        start = None if clip.span is None else clip.span.seconds
        end = None if not clip.length else (start or 0.0) + clip.length
        try:
            for packet in source.demux(audio) if audio else ():
                seconds = 0.0 if packet.dts is None else float(packet.dts * packet.time_base)
                if packet.size and (start is None or seconds >= start) and (end is None or seconds < end):
                    check.see(packet)
        except (av.FFmpegError, IndexError):
            pass  # the decoding of the video reports it
    return check.losses()
