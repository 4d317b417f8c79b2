"""Shrinks frames to small upright R'G'B' pictures with libswscale, for the model on the CPU and for previews."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from gpu_saliency.source.colour import MATRICES, is_full_range, resolve_colorspace
from gpu_saliency.source.orientation import Orientation

# Without the second flag swscale reads R'G'B' from 8-bit tables, with one chroma value for each two pixels: too dark, wrong at
# coloured edges, and different from the GPU's picture.
_INTERPOLATION = Interpolation.AREA | Interpolation.FULL_CHR_H_INT


class Shrinker:
    """Shrinks frames to one size by area averaging, with each frame's own matrix and range (see source/colour.py)."""

    def __init__(self, size: tuple[int, int], orientation: Orientation | None = None) -> None:
        """``size``: (width, height) of the upright picture; ``orientation``: that of `Clip`."""
        self._orientation = orientation or Orientation()
        self._size = size if self._orientation.turns % 2 == 0 else size[::-1]
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Shrink ``frame`` to an upright picture ``[h, w, 3]`` uint8, full-range R'G'B'."""
        picture = np.asarray(self.shrink(frame, "rgb24").to_ndarray(), np.uint8)
        return np.ascontiguousarray(self._orientation.upright(picture))

    def shrink(self, frame: av.VideoFrame, pix_fmt: str, colorspace: Colorspace | None = None) -> av.VideoFrame:
        """Shrink ``frame`` to a full-range frame of ``pix_fmt``, as coded (not rotated); a YUV format needs a ``colorspace``."""
        is_full = is_full_range(int(frame.color_range), frame.format.name)
        width, height = self._size
        return self._reformatter.reformat(
            frame,
            width,
            height,
            pix_fmt,
            src_colorspace=MATRICES[resolve_colorspace(int(frame.colorspace), frame.height)].swscale,
            src_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
            dst_colorspace=colorspace,
            dst_color_range=ColorRange.JPEG,
            interpolation=_INTERPOLATION,
            # Decoder and inference already occupy the cores; another thread pool only adds context switches.
            threads=1,
        )
