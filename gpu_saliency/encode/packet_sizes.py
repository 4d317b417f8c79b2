"""Reads the sizes of the video packets of a part's file."""

from __future__ import annotations

from pathlib import Path

import av

from gpu_saliency.errors import EncodeError
from gpu_saliency.source.formats import open_file

_CURE = "check the settings of the encoder"


def packet_sizes(path: Path) -> list[int]:
    """The size in bytes of each video packet of a part's file, in decode order. Raises `EncodeError` for a file without one."""
    try:
        with open_file(path) as container:
            sizes = [packet.size for packet in container.demux(container.streams.video[0]) if packet.size]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise EncodeError(f"ffmpeg wrote a part that cannot be read: {error}", cure=_CURE) from error
    if not sizes:
        raise EncodeError("ffmpeg wrote a part without a frame", cure=_CURE)
    return sizes
