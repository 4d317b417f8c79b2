"""Packets and time stamps that tests read back from files."""

from __future__ import annotations

from pathlib import Path

import av


def video_times(path: Path) -> list[float]:
    """Presentation times of the video packets, seconds, sorted."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        return sorted(float(p.pts * p.time_base) for p in packets if p.pts is not None and p.time_base is not None)


def audio_bytes(path: Path, index: int = 0) -> bytes:
    """The packets of one audio stream, joined."""
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(container.streams.audio[index]) if packet.size)


def video_bytes(path: Path) -> bytes:
    """The packets of the video stream in decode order, joined."""
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size)
