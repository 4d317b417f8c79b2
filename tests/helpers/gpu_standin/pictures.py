"""Writes the pictures that the stand-in NVDEC delivers: those of libavcodec, each with the packets that it depends on."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

_NV12 = {"yuv420p": "nv12", "yuv420p10le": "p010le"}


def write_pictures(clip: Path, output: Path) -> Path:
    """Decode ``clip`` on the CPU and write its pictures for `Driver.pictures`. Every packet must give one picture.

    A picture needs all packets since the last key frame before it, or since the one before that if the key frame is shown later:
    then it is a leading picture of an open GOP, which no later picture needs.
    """
    with av.open(str(clip)) as container:
        stamps: list[int] = []
        keys: list[int] = []
        needs: dict[int, tuple[int, bool]] = {}
        frames: dict[int, av.VideoFrame] = {}
        for packet in container.demux(video=0):
            if packet.size:
                assert packet.pts is not None
                if packet.is_keyframe:
                    keys.append(len(stamps))
                is_leading = packet.pts < stamps[keys[-1]] if len(stamps) > keys[-1] else False
                needs[packet.pts] = keys[-2] if is_leading and len(keys) > 1 else keys[-1], is_leading
                stamps.append(packet.pts)
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                assert frame.pts is not None
                frames[frame.pts] = frame
    assert sorted(stamps) == sorted(frames)
    first = frames[stamps[0]]
    bits = first.format.components[0].bits
    coded = [-(-side // 16) * 16 for side in (first.width, first.height)]
    with output.open("wb") as file:
        file.write(np.array([first.width, first.height, *coded, bits, len(stamps)], np.int64).tobytes())
        file.write(np.array([[pts, place, *needs[pts]] for place, pts in enumerate(stamps)], np.int64).tobytes())
        for pts in stamps:
            frame = frames[pts]
            for number, plane in enumerate(frame.reformat(format=_NV12[frame.format.name]).planes):
                file.write(_samples(plane, (1 if bits == 8 else 2) * (1 + number)).tobytes())
    return output


def _samples(plane: av.video.plane.VideoPlane, sample_bytes: int) -> NDArray[np.uint8]:
    """The bytes of a plane's samples without padding, ``[lines, bytes]``."""
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width * sample_bytes]
