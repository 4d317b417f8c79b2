"""Reads the packets of a clip's video: continues a restarted clock, survives an error of the demuxer, notes where streams end."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

import av
import av.container
import av.video.stream
from av.stream import Discard

from gpu_saliency.source.clip import libav_reason
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.declared import Declared
from gpu_saliency.source.numbering import picture_numbers
from gpu_saliency.source.restart import RestartClock, may_jump
from gpu_saliency.source.shortfall import Extent

_JOINT = 64
"""Packets around a restart of the clock that may be flagged because two files were joined there."""


class PacketReader:
    """Reads the packets of one video stream, in the order of the file. Used for one pass over the clip."""

    def __init__(
        self, container: av.container.InputContainer, video: av.video.stream.VideoStream, damage: Damage, *, numbered: bool = False
    ) -> None:
        """The other streams are read too where only the end of the longest stream is declared.

        ``numbered`` follows the numbers that the pictures have in their bitstream, if the file is read to its end.
        """
        context = video.codec_context
        self._numbers = picture_numbers(container.format.name, context.name, context.extradata) if numbered else None
        self._declared = Declared.of(container, video)
        self.dts = array("q")
        """Decode times of the video's packets with content so far, in its time base."""
        self._read = 0
        self._flagged: list[int] = []
        self._joints: list[int] = []
        self._packets, self._end, self._file_end, self._last = 0, 0.0, 0.0, 0.0
        self.hidden = 0
        """Packets so far of which the frame is not shown, such as those before the start of an edit list."""
        self._clock = RestartClock() if may_jump(container) else None
        self._container, self._video, self._damage = container, video, damage
        kinds = ("audio", "video", "subtitle") if self._declared.file_end is not None else ("audio", "video") if self._clock else ()
        self._streams = [s for s in container.streams if s is video or s.type in kinds]
        self._units = {s.index: float(s.time_base or 0) for s in self._streams}
        for stream in container.streams:
            if stream not in self._streams:
                stream.discard = Discard.all

    def read(self) -> Iterator[av.Packet[Any]]:
        """Yield the packets with content; an error of the demuxer ends them and is noted in the damage."""
        yield from self._all()
        # Where two files were joined, the counters of MPEG-TS jump too, which is no damage.
        joints = self._joints
        near = (bisect_left(joints, at - _JOINT) < bisect_right(joints, at + _JOINT) for at in self._flagged)
        self._damage.flagged_packets = sum(not at_joint for at_joint in near)
        if self._numbers is not None:
            self._damage.gaps = self._numbers.gaps()

    def _all(self) -> Iterator[av.Packet[Any]]:
        packets = self._container.demux(self._streams)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, IndexError):  # IndexError: PyAV 18 at the end, where garbage looked like a further stream
                return
            except av.error.ExitError:
                raise  # the stall limit: a disk or network that gives nothing, which is no damage
            except (av.FFmpegError, OSError) as error:
                self._damage.ended_by = libav_reason(error)
                return
            if packet.dts is None and packet.pts is None and not packet.size:
                continue  # PyAV's own mark of the end
            self._read += 1
            if self._clock is not None:
                restarts = self.restarts
                packet = self._clock.continued(packet)
                self._joints += [self._read] * (self.restarts - restarts)
                if self._numbers is not None and self.restarts > restarts:
                    self._numbers.restart()
            if packet.is_corrupt:
                self._flagged.append(self._read)
            self._note_end(packet)
            if packet.stream_index == self._video.index and packet.size:
                if packet.dts is not None:
                    self.dts.append(packet.dts)
                if self._numbers is not None:
                    self._numbers.add(bytes(packet))
                yield packet

    @property
    def restarts(self) -> int:
        """Restarts of the clock so far."""
        return 0 if self._clock is None else self._clock.restarts

    def extent(self, *, reached_duration: bool = False) -> Extent:
        """How far the reading has come."""
        return Extent(self._declared, self._packets, self._end, self._file_end, self._last, reached_duration)

    def _note_end(self, packet: av.Packet[Any]) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        unit = self._units[packet.stream_index]
        begin = (stamp or 0) * unit
        end = begin + (packet.duration or 0) * unit
        self._file_end = max(self._file_end, end)
        if packet.stream_index == self._video.index:
            self._last, self._end = max(self._last, begin), max(self._end, end)
            self._packets += 1
            self.hidden += packet.is_discard
