"""The pictures of a clip as small JPEGs, for many viewers: each is decoded once for those who look at the same time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from gpu_saliency.draw.panel import panel_size
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.seek import FrameReader
from gpu_saliency.source.shrink import Shrinker

SIDE = 960
"""Pixels; longer side of a picture. One that is smaller is not made larger."""
_JPEG, _QUANTISER = "yuvj420p", 4
_CACHE_BYTES = 48 << 20
_STEPS_BACK = 8
"""Frames before one that was jumped to that are kept too."""
_READERS = 3
"""Decoders at most: viewers at so many places of the clip do not take each other's."""


class FrameStore:
    """Takes turns: whoever asks waits for those who asked before. Memory is bounded; `close` it."""

    def __init__(self, clip: Clip, side: int = SIDE) -> None:
        self._clip = clip
        self._encode = JpegEncoder(clip, side)
        self.size = self._encode.size
        """Width and height of each picture, in pixels."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._readers: list[FrameReader] = []  # the last used one last

    def close(self) -> None:
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()

    def jpeg(self, number: int, frame_pts: NDArray[np.int64] | None) -> bytes:
        """Frame ``number``, upright, with square pixels. Raises `SourceError` where there is none; see `FrameReader.read`."""
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
            reader = self._reader_for(number)

            def keep_last(passed: int, frame: av.VideoFrame) -> None:
                if number - passed <= _STEPS_BACK and passed not in self._kept:
                    self._keep(passed, self._encode(frame))

            # Who goes back by a frame will do so again, and each time the way begins at a key frame.
            is_jump = not reader.is_near(number)
            data = self._encode(reader.read(number, frame_pts, keep_last if is_jump else None))
            self._keep(number, data)
            return data

    def _keep(self, number: int, data: bytes) -> None:
        self._kept[number] = data
        self._kept_bytes += len(data)
        while self._kept_bytes > _CACHE_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])

    def _reader_for(self, number: int) -> FrameReader:
        """The nearest before ``number``, else a new one, else that which nobody has used for the longest time."""
        near = [reader for reader in self._readers if reader.is_near(number)]
        if near:
            reader = max(near, key=lambda one: one.position)
        elif len(self._readers) < _READERS:
            reader = FrameReader(self._clip)
            self._readers.append(reader)
        else:
            reader = self._readers[0]
        self._readers.remove(reader)
        self._readers.append(reader)
        return reader


class JpegEncoder:
    """A clip's frames to JPEG, upright, with square pixels. Not for two threads at once."""

    def __init__(self, clip: Clip, side: int = SIDE) -> None:
        self._is_turned = clip.rotation != 0
        width, height = panel_size(clip, min(side, max(clip.width, clip.height)))
        self.size = (max(2, width // 2 * 2), max(2, height // 2 * 2))
        """Width and height of each picture, in pixels."""
        self._shrink = Shrinker(self.size, clip.rotation)
        self._jpeg = av.VideoCodecContext.create("mjpeg", "w")
        self._jpeg.width, self._jpeg.height = self.size
        self._jpeg.pix_fmt = _JPEG
        self._jpeg.framerate, self._jpeg.time_base = Fraction(1), Fraction(1)
        self._jpeg.qmin = self._jpeg.qmax = _QUANTISER
        self._stamp = 0

    def __call__(self, frame: av.VideoFrame) -> bytes:
        if self._is_turned:
            upright = av.VideoFrame.from_ndarray(self._shrink(frame), format="rgb24")
            small = upright.reformat(
                format=_JPEG, src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.JPEG, dst_colorspace=Colorspace.ITU601
            )
        else:
            small = self._shrink.shrink(frame, _JPEG, Colorspace.ITU601)
        # Frames of an intra codec need no order, only a stamp that fits.
        small.pts, small.time_base, small.pict_type = self._stamp, Fraction(1), 0
        self._stamp += 1
        return b"".join(bytes(packet) for packet in self._jpeg.encode(small))
