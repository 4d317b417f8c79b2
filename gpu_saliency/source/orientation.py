"""How a player turns and mirrors the coded picture: the display matrix of a stream."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import av
import numpy as np
from numpy.typing import NDArray

_Item = TypeVar("_Item", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Orientation:
    """Quarter turns, then a mirror: together all eight orientations of a picture."""

    turns: int = 0
    """Quarter turns counter-clockwise, 0 to 3."""
    mirrored: bool = False
    """Whether left and right are exchanged after the turn."""

    @property
    def code(self) -> int:
        """The number that the CUDA kernels take, 0 to 7: the turns, and 4 more where the picture is mirrored."""
        return self.turns + 4 * self.mirrored

    def upright(self, picture: NDArray[_Item], axes: tuple[int, int] = (0, 1)) -> NDArray[_Item]:
        """Turn and mirror a coded ``picture`` as a player does; ``axes`` are its vertical and horizontal axis."""
        turned = np.rot90(picture, self.turns, axes)
        return np.flip(turned, axes[1]) if self.mirrored else turned

    def coded(self, picture: NDArray[_Item], axes: tuple[int, int] = (0, 1)) -> NDArray[_Item]:
        """The inverse of `upright`."""
        turned = np.flip(picture, axes[1]) if self.mirrored else picture
        return np.rot90(turned, -self.turns, axes)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Read the display matrix of ``frame``; angles are rounded to quarter turns.

    The matrix maps (x, y) to (a x + c y, b x + d y). libavutil's `av_display_rotation_get`, and so PyAV's `rotation`, ignores a
    mirror; it serves where PyAV cannot list a frame's side data, because it does not know the type of some of them.
    """
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        return Orientation(round(frame.rotation / 90) % 4)
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(memoryview(data), np.int32, 5).astype(float).tolist()  # type: ignore[arg-type]
    mirrored = a * d - b * c < 0
    if a == b == 0:
        return Orientation()
    degrees = -math.degrees(math.atan2(b, -a if mirrored else a))
    return Orientation(round(degrees / 90) % 4, mirrored)
