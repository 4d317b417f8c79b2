"""`SoundStore`: decodes pieces of a clip's sound on demand, as WAV, so that the page can play them in time with the pictures."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from contextlib import suppress

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.source.clip import Clip, open_clip

PIECE_SECONDS = 5
_CACHED = 24
_MOST_RATE = 48000
_LEAD = 1.0
"""Seconds by which a seek aims before a piece: decoders of audio need some packets before the first good samples."""
_GAP = 0.05
"""Least difference in seconds between a time stamp and the samples before it that is a gap, and not rounding."""


class SoundStore:
    """Decodes the first audio stream of a clip in pieces of `PIECE_SECONDS`, with a cache; for a clip that has audio."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[int, float], bytes] = OrderedDict()

    def piece(self, number: int, origin: float) -> bytes:
        """Piece ``number`` as WAV, two channels of 16 bits; silence where the clip has no sound.

        ``origin`` is the time in seconds of the first frame on the file's clock. Empty if the audio cannot be decoded. Raises
        `SourceError` if the file cannot be opened.
        """
        key = (number, origin)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = self._decode(origin + number * PIECE_SECONDS)
                while len(self._cache) > _CACHED:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(key)
            return self._cache[key]

    def _decode(self, start: float) -> bytes:
        with open_clip(self._clip) as container:
            if not container.streams.audio:
                return b""
            stream = container.streams.audio[0]
            rate = min(stream.rate or _MOST_RATE, _MOST_RATE)
            samples = np.zeros((PIECE_SECONDS * rate, 2), np.int16)
            with suppress(av.FFmpegError):
                container.seek(int((start - _LEAD) * av.time_base))
            resampler = av.AudioResampler(format="s16", layout="stereo", rate=rate)
            place: int | None = None  # of the next sample, from the start of the piece
            with suppress(av.FFmpegError):
                for packet in container.demux(stream):
                    with suppress(av.FFmpegError):  # a damaged packet is silent
                        for frame in packet.decode():
                            if frame.time is None:
                                continue
                            stamp = round((frame.time - start) * rate)
                            if place is None or abs(stamp - place) > _GAP * rate:
                                resampler = av.AudioResampler(format="s16", layout="stereo", rate=rate)
                                place = stamp
                            for part in resampler.resample(frame):
                                place = _put(samples, place, np.asarray(part.to_ndarray(), np.int16).reshape(-1, 2))
                    if place is not None and place >= len(samples):
                        break
        return _wav(samples, rate)


def _put(samples: NDArray[np.int16], place: int, part: NDArray[np.int16]) -> int:
    """Write ``part`` at ``place``, as far as it lies in ``samples``; returns the place after it."""
    begin, end = max(0, place), min(len(samples), place + len(part))
    if begin < end:
        samples[begin:end] = part[begin - place : end - place]
    return place + len(part)


def _wav(samples: NDArray[np.int16], rate: int) -> bytes:
    data = samples.astype("<i2").tobytes()
    form = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 2, rate, 4 * rate, 4, 16, b"data", len(data)
    )
    return form + data
