"""Continues the clock of a stream in which time stamps restart or jump, such as two MPEG-TS files joined by ``cat``."""

from __future__ import annotations

from typing import Any

import av
import av.container
import av.stream

# AVFMT_TS_DISCONT of libavformat; PyAV's stubs give its own name for it no usable type.
_STAMPS_MAY_JUMP = 0x0200
_TIMED = frozenset({"video", "audio"})
_FORWARD = 10 * av.time_base
"""Microseconds; a longer jump in either direction restarts the clock. ffmpeg's default of ``-dts_delta_threshold``."""
_BACKWARD = av.time_base // 10
"""Microseconds; a longer step back restarts the clock, as in ffmpeg."""


def may_jump(container: av.container.InputContainer) -> bool:
    """Whether the format of ``container`` allows time stamps to jump: MPEG-TS and MPEG-PS."""
    return bool(container.format.flags & _STAMPS_MAY_JUMP)


class RestartClock:
    """Moves the time stamps of packets by an offset that continues a restarted clock; the rule of ffmpeg's demuxer.

    One offset serves all streams, so that they stay in sync. `continued` must get every audio and video packet of the container in
    its order, since each of them can show a restart.
    """

    def __init__(self) -> None:
        self.restarts = 0
        """Number of restarts so far."""
        self._offset = 0
        self._last: int | None = None
        self._current: dict[int, int] = {}
        self._following: dict[int, int] = {}

    def continued(self, packet: av.Packet[Any]) -> av.Packet[Any]:
        """Return ``packet`` with its stamps moved by the offset; changes it in place."""
        if packet.dts is None or not packet.time_base or not packet.size:
            return packet
        per_second = packet.time_base * av.time_base
        dts = round(packet.dts * per_second) + self._offset
        if packet.stream.type in _TIMED:
            expected = self._expected(packet.stream.index, dts)
            if expected is not None:
                self._offset += expected - dts
                self.restarts += 1
                dts = expected
            self._last = dts
            self._current[packet.stream.index] = dts
            self._following[packet.stream.index] = dts + round((packet.duration or 0) * per_second)
        if self._offset:
            moved = round(self._offset / per_second)
            packet.dts += moved
            if packet.pts is not None:
                packet.pts += moved
        return packet

    def _expected(self, index: int, dts: int) -> int | None:
        """The dts at which the stream ``index`` goes on, if ``dts`` (microseconds) restarts the clock; else ``None``."""
        following = self._following.get(index)
        if following is not None:
            restarts = abs(dts - following) > _FORWARD or dts + _BACKWARD < self._current[index]
            return following if restarts else None
        return self._last if self._last is not None and abs(dts - self._last) > _FORWARD else None
