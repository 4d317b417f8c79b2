"""`AudioCoding`: the encoder of an output's audio, where it is not copied."""

from __future__ import annotations

from dataclasses import dataclass

import av
import av.audio.stream
import av.container
import av.stream

from gpu_saliency.errors import UsageError, setting

BITS_PER_CHANNEL = 64_000
"""Default bits per second for each channel, for encoders with a bit rate: 128 kbit/s for stereo."""
LEAST_BITRATE, MOST_BITRATE = 6000, 10_000_000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""libavutil's default layout for a number of channels; encoders know few others."""
_RATE = 48000
_LOSSY = 1 << 1
"""AV_CODEC_PROP_LOSSY of libavcodec; PyAV's stubs give its own name for it no usable type."""
_EXAMPLES = "aac, libopus, libmp3lame, ac3, flac or pcm_s16le"


@dataclass(frozen=True, slots=True)
class AudioCoding:
    """How the audio of an output is encoded. Produced by `audio_coding`."""

    encoder: str
    """libavcodec's name of the encoder."""
    codec: str
    """libavcodec's name of the codec."""
    bitrate: int | None = None
    """Bits per second of each stream; ``None`` takes `BITS_PER_CHANNEL`, or nothing for a lossless codec."""

    @property
    def is_lossless(self) -> bool:
        return _is_lossless(av.Codec(self.encoder, "w"))

    def bits_per_second(self, channels: int) -> int | None:
        """The bit rate of a stream of ``channels``; ``None`` for a lossless codec."""
        return None if self.is_lossless else self.bitrate or BITS_PER_CHANNEL * channels

    def add_to(self, target: av.container.OutputContainer, source: av.audio.stream.AudioStream) -> av.audio.stream.AudioStream:
        """Add a stream to ``target`` that encodes ``source``. Raises `ValueError` where the container has no place for it."""
        context = source.codec_context
        channels = context.layout.nb_channels or 2
        stream = target.add_stream(self.encoder, rate=self._rate(context.sample_rate or _RATE))
        assert isinstance(stream, av.audio.stream.AudioStream)
        stream.codec_context.layout = _LAYOUTS.get(channels, context.layout.name)
        bitrate = self.bits_per_second(channels)
        if bitrate is not None:
            stream.codec_context.bit_rate = bitrate
        return stream

    def _rate(self, rate: int) -> int:
        """The rate of the source if the encoder has it, else the next higher one."""
        rates = av.Codec(self.encoder, "w").audio_rates
        return rate if not rates or rate in rates else min((one for one in rates if one > rate), default=max(rates))


def audio_coding(codec: str | None, bitrate: int | None) -> AudioCoding | None:
    """The coding by the encoder or codec named ``codec``; ``None`` for ``copy``, and for ``None``. Raises `UsageError`."""
    if codec in (None, "copy"):
        if bitrate is not None:
            cure = f"give {setting('audio_codec')} too, such as {setting('audio_codec', 'aac')}"
            raise UsageError("has no effect on audio that is copied", setting="audio_bitrate", value=bitrate, cure=cure)
        return None
    assert codec is not None
    try:
        found = av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        problem = "is no audio encoder that is known here"
        raise UsageError(problem, setting="audio_codec", value=codec, cure=f"give copy, {_EXAMPLES}") from None
    if found.type != "audio" or found.experimental:
        problem = "is experimental" if found.experimental else f"encodes {found.type}, not audio"
        raise UsageError(problem, setting="audio_codec", value=codec, cure=f"give copy, {_EXAMPLES}")
    if bitrate is not None and not LEAST_BITRATE <= bitrate <= MOST_BITRATE:
        cure = f"give {LEAST_BITRATE} to {MOST_BITRATE} bits per second, for example 128k"
        raise UsageError("out of range", setting="audio_bitrate", value=bitrate, cure=cure)
    if bitrate is not None and _is_lossless(found):
        cure = f"leave it out, or give another {setting('audio_codec')}"
        raise UsageError(f"has no effect: {found.name} is lossless", setting="audio_bitrate", value=bitrate, cure=cure)
    return AudioCoding(found.name, found.canonical_name, bitrate)


def _is_lossless(codec: av.Codec) -> bool:
    return codec.canonical_name.startswith("pcm_") or not codec.properties & _LOSSY
