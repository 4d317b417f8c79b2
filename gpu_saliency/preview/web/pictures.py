"""Encodes a clip's frames as JPEG pictures, which are cached and shared by all viewers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from gpu_saliency.draw.panel import panel_size
from gpu_saliency.preview.live.reader import LatestFrame
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.orientation import Orientation
from gpu_saliency.source.seek import FrameReader
from gpu_saliency.source.shrink import Shrinker

SIDE = 1280
"""Longer side of a picture in pixels; smaller frames keep their size."""
_JPEG, _QUANTISER = "yuvj420p", 4
COMPARED_SIDE, COMPARED_QUANTISER = 1920, 2
"""Those of comparisons, whose pictures must show what an encoder did and not what JPEG does."""
_CACHE_BYTES = 48 << 20
_STEPS_BACK = 8
"""Number of frames before the target of a seek that are cached, for steps back."""
_READERS = 3
"""Largest number of decoders: as many viewers can play different parts of the clip without seeks."""


class FrameStore:
    """Decodes frames of a clip to JPEG on demand, one request at a time, with an LRU cache. Call `close` at the end."""

    def __init__(self, clip: Clip, side: int = SIDE) -> None:
        self._clip = clip
        self._encode = JpegEncoder(clip, side)
        self.size = self._encode.size
        """Width and height of each picture, in pixels."""
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._cache_bytes = 0
        self._readers: list[FrameReader] = []  # least recently used first

    def close(self) -> None:
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()

    def jpeg(self, number: int, frame_pts: NDArray[np.int64] | None) -> bytes:
        """Frame ``number`` as JPEG, upright, with square pixels.

        ``frame_pts`` is that of `FrameReader.read`. Raises `SourceError` if the clip has no such frame.
        """
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
            reader = self._reader_for(number)

            def cache_last(passed: int, frame: av.VideoFrame) -> None:
                if number - passed <= _STEPS_BACK and passed not in self._cache:
                    self._store(passed, self._encode(frame))

            # Users who step back once are likely to step back again, and a seek decodes these frames anyway.
            is_jump = not reader.is_near(number)
            data = self._encode(reader.read(number, frame_pts, cache_last if is_jump else None))
            self._store(number, data)
            return data

    def _store(self, number: int, data: bytes) -> None:
        self._cache[number] = data
        self._cache_bytes += len(data)
        while self._cache_bytes > _CACHE_BYTES:
            self._cache_bytes -= len(self._cache.popitem(last=False)[1])

    def _reader_for(self, number: int) -> FrameReader:
        """Choose the nearest reader before ``number``, else a new one, else the least recently used."""
        near = [reader for reader in self._readers if reader.is_near(number)]
        if near:
            reader = max(near, key=lambda reader: reader.position)
        elif len(self._readers) < _READERS:
            reader = FrameReader(self._clip)
            self._readers.append(reader)
        else:
            reader = self._readers[0]
        self._readers.remove(reader)
        self._readers.append(reader)
        return reader


class JpegEncoder:
    """Encodes frames of a clip as JPEG, upright, with square pixels. Not thread-safe."""

    def __init__(self, clip: Clip, side: int = SIDE, quantiser: int = _QUANTISER) -> None:
        self._is_turned = clip.orientation != Orientation()
        width, height = panel_size(clip, min(side, max(clip.width, clip.height)))
        self.size = (max(2, width // 2 * 2), max(2, height // 2 * 2))
        """Width and height of each picture, in pixels."""
        self._shrink = Shrinker(self.size, clip.orientation)
        self._jpeg = av.VideoCodecContext.create("mjpeg", "w")
        self._jpeg.width, self._jpeg.height = self.size
        self._jpeg.pix_fmt = _JPEG
        self._jpeg.framerate, self._jpeg.time_base = Fraction(1), Fraction(1)
        self._jpeg.qmin = self._jpeg.qmax = quantiser
        self._stamp = 0

    def __call__(self, frame: av.VideoFrame) -> bytes:
        if self._is_turned:
            upright = av.VideoFrame.from_ndarray(self._shrink(frame), format="rgb24")
            small = upright.reformat(
                format=_JPEG, src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.JPEG, dst_colorspace=Colorspace.ITU601
            )
        else:
            small = self._shrink.shrink(frame, _JPEG, Colorspace.ITU601)
        # An intra codec needs no frame order, only rising time stamps.
        small.pts, small.time_base, small.pict_type = self._stamp, Fraction(1), 0
        self._stamp += 1
        return b"".join(bytes(packet) for packet in self._jpeg.encode(small))


class LatestPicture:
    """Encodes the latest frame of a live source as JPEG, once for all viewers."""

    def __init__(self, clip: Clip) -> None:
        self._encode = JpegEncoder(clip)
        self.size = self._encode.size
        """Width and height in pixels."""
        self._lock = threading.Lock()
        self._last: tuple[int, bytes] | None = None

    def jpeg(self, latest: LatestFrame) -> bytes:
        with self._lock:
            if self._last is None or self._last[0] != latest.number:
                self._last = (latest.number, self._encode(latest.frame))
            return self._last[1]
