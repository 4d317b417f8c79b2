"""Check ``clips``: repeats clips, so that the cost of starting is small beside the rest and many decoders find key frames.

Called with a folder and clips: writes each clip `TIMES` times to the folder, and `ENGINES_TIMES` times to its ``engines``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av

TIMES = 16
ENGINES_TIMES = 32
"""1,920 frames of 60: at least 240 for each of eight engines, as ``--decoders auto`` wants them."""


def repeat_clip(source: Path, target: Path, times: int) -> int:
    """Write ``source``, repeated ``times`` times, to ``target`` without encoding it again. Returns the number of packets.

    The clip has a constant frame rate and begins with a key frame that can be decoded by itself. Raises `av.error.FFmpegError`, or
    `ValueError` for a clip without time stamps.
    """
    with av.open(source) as container, av.open(target, "w") as repeated:
        video = container.streams.video[0]
        packets = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in container.demux(video) if packet.size]
        rate, unit = video.average_rate, video.time_base
        if rate is None or unit is None or not packets:
            raise ValueError(f"{source}: no frame rate or no packets")
        span = len(packets) * round(1 / (rate * unit))
        output = repeated.add_stream_from_template(video)
        for turn in range(times):
            for data, pts, dts, is_key in packets:
                if pts is None or dts is None:
                    raise ValueError(f"{source}: a packet has no time stamp")
                packet: Any = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = output, unit, is_key
                packet.pts, packet.dts = pts + turn * span, dts + turn * span
                repeated.mux(packet)
    return times * len(packets)


def main() -> None:
    folder, *clips = map(Path, sys.argv[1:])
    for target, times in ((folder, TIMES), (folder / "engines", ENGINES_TIMES)):
        target.mkdir(parents=True, exist_ok=True)
        for clip in clips:
            print(f"{target / clip.name}: {repeat_clip(clip, target / clip.name, times)} packets", flush=True)
    print(f"{len(clips)} clips repeated {TIMES} and {ENGINES_TIMES} times")


if __name__ == "__main__":
    main()
