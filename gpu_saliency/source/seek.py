"""Any frame of a clip by its number, for those who jump about in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip, open_clip

_NEAR = 48
"""Frames ahead to which decoding on is taken to be no slower than a jump to a key frame."""
_BACK = (0, 64, 512)
"""Frames before the wanted one to which a demuxer is sent, one after the other: some land behind what they were told."""


class FrameReader:
    """One decoder with a place in the clip. Not for two threads at once; `close` it."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._open = ExitStack()
        self._next = 0
        self._rewind()

    def close(self) -> None:
        self._open.close()

    @property
    def position(self) -> int:
        """Number of the frame that comes next."""
        return self._next

    def is_near(self, number: int) -> bool:
        """Whether frame ``number`` lies so little ahead that decoding goes on to it."""
        return 0 <= number - self._next <= _NEAR

    def read(
        self, number: int, frame_pts: NDArray[np.int64] | None, on_passed: Callable[[int, av.VideoFrame], None] | None = None
    ) -> av.VideoFrame:
        """Frame ``number`` in presentation order, from 0; ``on_passed`` gets those that are decoded on the way to it.

        ``frame_pts`` ``[frames]`` are the time stamps known so far; without that of ``number`` the clip is decoded up to it, from
        its beginning if need be. Raises `SourceError` where there is no such frame.
        """
        if not self.is_near(number) and not self._jump(number, frame_pts) and number < self._next:
            self._rewind()
        for at, frame in self._frames:
            self._next = at + 1
            if at >= number:
                return frame
            if on_passed is not None:
                on_passed(at, frame)
        self._rewind()
        raise SourceError(f"{self._clip.path}: has no frame {number}")

    def _rewind(self) -> None:
        self._open.close()
        self._container = self._open.enter_context(open_clip(self._clip))
        self._video = next(s for s in self._container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        self._video.thread_type = "AUTO"
        self._next = 0
        self._frames: Iterator[tuple[int, av.VideoFrame]] = enumerate(self._decode())

    def _decode(self) -> Iterator[av.VideoFrame]:
        for packet in self._container.demux(self._video):
            try:
                yield from packet.decode()
            except av.FFmpegError:  # counted and reported by the analysis
                continue

    def _jump(self, number: int, frame_pts: NDArray[np.int64] | None) -> bool:
        """Go to a key frame before ``number``; whether that worked. If not, the place is the beginning."""
        if frame_pts is None or number >= len(frame_pts) or number <= _NEAR:
            return False
        for back in _BACK:
            try:
                self._container.seek(int(frame_pts[max(0, number - back)]), stream=self._video)
                decoded = self._decode()
                # What comes before the key frame may refer to what was jumped over.
                first = next(frame for frame in decoded if frame.key_frame)
            except (av.FFmpegError, StopIteration):
                break
            at = -1 if first.pts is None else int(np.searchsorted(frame_pts, first.pts))
            if 0 <= at <= number and frame_pts[at] == first.pts:
                self._next, self._frames = at, chain([(at, first)], enumerate(decoded, at + 1))
                return True
        self._rewind()
        return False
