"""Random access to the frames of a clip by their numbers or time stamps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.packets import PacketReader
from gpu_saliency.source.reading import ended
from gpu_saliency.source.span import Span

_NEAR = 48
"""Distance in frames up to which decoding forward is assumed to be no slower than a seek to a key frame."""
_BACK = (0, 64, 512)
"""Distances in frames before the wanted frame; the seek tries them in turn, since some demuxers land too late."""


def key_frame_before(clip: Clip, pts: int) -> int | None:
    """Time stamp of the key frame that a seek to ``pts`` lands on, both in the stream's time base; ``None`` where it fails.

    Reads packets and decodes nothing. Raises `SourceError` if the clip cannot be opened.
    """
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        try:
            container.seek(pts, stream=video)
            with ended(container.demux(video)) as packets:
                return next((packet.pts for packet in packets if packet.is_keyframe), None)
        except av.FFmpegError:
            return None


class FrameReader:
    """Reads single frames of a clip with one decoder, by seeking or decoding forward. Not thread-safe; call `close` at the end."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._open = ExitStack()
        self._next = 0
        self._rewind()

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    @property
    def position(self) -> int:
        """Number of the frame that the decoder gives next."""
        return self._next

    def is_near(self, number: int) -> bool:
        """Whether `read` reaches frame ``number`` by decoding forward, without a seek."""
        return 0 <= number - self._next <= _NEAR

    def read(
        self, number: int, frame_pts: NDArray[np.int64] | None, on_passed: Callable[[int, av.VideoFrame], None] | None = None
    ) -> av.VideoFrame:
        """Return frame ``number``, counted from 0 in presentation order.

        ``on_passed`` is called with the number and picture of each frame that is decoded before it. ``frame_pts`` ``[frames]``
        holds the time stamps known so far; a frame beyond them is reached by decoding forward, from the start if necessary. Raises
        `SourceError` if the clip has no such frame.
        """
        if not self.is_near(number) and not self._seek(number, frame_pts) and number < self._next:
            self._rewind()
        for at, frame in self._frames:
            self._next = at + 1
            if at >= number:
                return frame
            if on_passed is not None:
                on_passed(at, frame)
        self._rewind()
        raise SourceError(f"{self._clip.path}: has no frame {number}", cure="give an intact file")

    def _rewind(self) -> None:
        self._open.close()
        self._container = self._open.enter_context(open_clip(self._clip))
        self._video = video_stream_of(self._container, self._clip.stream)
        self._video.thread_type = "AUTO"
        self._next = 0
        span = self._clip.span
        self._frames: Iterator[tuple[int, av.VideoFrame]] = enumerate(self._decode() if span is None else self._used(span))

    def _used(self, span: Span) -> Iterator[av.VideoFrame]:
        """The frames of a clip with a start, decoded from the key frame before that."""
        if span.packets_before:
            with suppress(av.FFmpegError):
                self._container.seek(span.key, stream=self._video)
                decoded = self._decode()
                first = next(decoded, None)
                if first is not None and first.pts is not None and first.pts <= span.first:
                    yield from (frame for frame in chain([first], decoded) if not span.is_before(frame.pts, 0))
                    return
            self._container.seek(0)
        for number, frame in enumerate(self._decode()):
            if not span.is_before(frame.pts, number):
                yield frame

    def _decode(self) -> Iterator[av.VideoFrame]:
        # The analysis counts and reports the damage.
        for packet in PacketReader(self._container, self._video, Damage()).read():
            with suppress(av.FFmpegError):
                yield from packet.decode()
        with suppress(av.FFmpegError):
            yield from self._video.codec_context.decode(None)

    def _seek(self, number: int, frame_pts: NDArray[np.int64] | None) -> bool:
        """Seek to a key frame at or before ``number`` and return True; otherwise rewind to the start and return False."""
        if frame_pts is None or number >= len(frame_pts) or number <= _NEAR:
            return False
        for back in _BACK:
            try:
                self._container.seek(int(frame_pts[max(0, number - back)]), stream=self._video)
                decoded = self._decode()
                # Frames before the key frame may refer to frames that the seek skipped.
                first = next(frame for frame in decoded if frame.key_frame)
            except (av.FFmpegError, StopIteration):
                break
            at = -1 if first.pts is None else int(np.searchsorted(frame_pts, first.pts))
            if 0 <= at <= number and frame_pts[at] == first.pts:
                self._next, self._frames = at, chain([(at, first)], enumerate(decoded, at + 1))
                return True
        self._rewind()
        return False
