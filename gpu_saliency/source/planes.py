"""Views the luma of a decoded frame as an array."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray


def luma(frame: av.VideoFrame) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The first plane of the planar frame, ``[height, width]``, without line padding; a view, not a copy."""
    plane = frame.planes[0]
    if frame.format.components[0].bits <= 8:
        return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    return np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)[: frame.height, : frame.width]
