"""Split from gpu_saliency.decode."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

# AVColorSpace of a frame -> the coefficients that swscale offers. Numbers of ITU-T H.273, table 4.
_SWS_COLORSPACE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


# Without the second flag swscale reads R'G'B' from tables of 8 bits, with one chroma value for each two pixels: too dark, wrong at
# coloured edges, and another picture than the GPU's.
_INTERPOLATION = Interpolation.AREA | Interpolation.FULL_CHR_H_INT


class Shrinker:
    """Frame to a small upright R'G'B' picture, by area averaging, with the frame's own matrix and range.

    A frame that names no matrix is read as BT.709 from 720 lines on and as BT.601 below, as players do.
    """

    def __init__(self, size: tuple[int, int], rotation: int = 0) -> None:
        self._turns = rotation // 90
        self._size = size if self._turns % 2 == 0 else size[::-1]
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """``[h, w, 3]`` uint8."""
        picture = np.asarray(self.shrink(frame, "rgb24").to_ndarray(), np.uint8)
        return np.ascontiguousarray(np.rot90(picture, self._turns))

    def shrink(self, frame: av.VideoFrame, pix_fmt: str, colorspace: Colorspace | None = None) -> av.VideoFrame:
        """The same as a full-range frame of ``pix_fmt``, not turned upright; ``colorspace`` is what a YUV format takes."""
        default = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
        is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        width, height = self._size
        return self._reformatter.reformat(
            frame,
            width,
            height,
            pix_fmt,
            src_colorspace=_SWS_COLORSPACE.get(int(frame.colorspace), default),
            src_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
            dst_colorspace=colorspace,
            dst_color_range=ColorRange.JPEG,
            interpolation=_INTERPOLATION,
            # Decoder and inference already keep the cores busy; a third pool of threads only adds switches.
            threads=1,
        )
