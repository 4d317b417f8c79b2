"""Pictures for the pages: frames of source and encodes, and maps of blocks over the frame in grey, all as JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from gpu_saliency.compare.match import Match
from gpu_saliency.draw.canvas import Picture
from gpu_saliency.draw.palette import offset_colour
from gpu_saliency.draw.panel import panel_cells, panel_size
from gpu_saliency.errors import SourceError
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.compare import compare_error, compare_qp
from gpu_saliency.proof.qp import exports_qp
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.shrink import Shrinker

LONGEST_SIDE = 1920
"""Pixels; larger frames are shrunk to it."""
MAP_SIDE = 640
FINE, COARSE = 1, 4
"""Quantiser of JPEG: without visible loss for frames, small for maps."""
_OPACITY = 0.72


def chosen_frames(frame_count: int, count: int) -> list[int]:
    """Numbers of ``count`` frames, evenly spread, without the ends; fewer for a shorter clip."""
    return sorted({int((i + 0.5) * frame_count / count) for i in range(min(count, frame_count))})


def read_pictures(clip: Clip, file: Path | None, numbers: Sequence[int]) -> list[Picture]:
    """The frames ``numbers`` of ``file``, an encode of ``clip``, or of the clip itself: upright, square pixels, R'G'B'.

    Raises `SourceError` where the file ends before.
    """
    size = panel_size(clip, min(LONGEST_SIDE, max(clip.width, clip.height)))
    shrink = Shrinker((max(2, size[0]), max(2, size[1])), clip.orientation)
    found = []
    wanted = set(numbers)
    for number, frame in enumerate(decode_frames(clip if file is None else probe_clip(file), DecodeTally())):
        if number in wanted:
            found.append(shrink(frame))
        if number >= max(wanted):
            break
    if len(found) < len(wanted):
        raise SourceError(f"{file or clip.path}: has no frame {max(wanted)}", cure="give intact files")
    return found


def jpeg(picture: Picture, quantiser: int = FINE) -> bytes:
    """``picture`` as JPEG with chroma at full resolution."""
    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.shape[1], picture.shape[0], "yuvj444p"
    encoder.framerate = encoder.time_base = Fraction(1)
    encoder.qmin = encoder.qmax = quantiser
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
        format="yuvj444p", src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.JPEG, dst_colorspace=Colorspace.ITU601
    )
    frame.pts, frame.time_base = 0, Fraction(1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@dataclass(frozen=True, slots=True)
class BlockMap:
    """A value for each block and segment, drawn on one colour scale."""

    title: str
    unit: str
    values: NDArray[np.float64]
    """``[segments, rows, cols]``, negative is better; NaN where not measured."""
    top: float
    """The end of the colour scale."""
    note: str = ""

    def draw(self, clip: Clip, picture: Picture, segment: int) -> Picture:
        """One segment's values over ``picture`` in grey; blocks without a value stay grey and dark."""
        values = self.values[segment][panel_cells(clip, picture.shape[1], picture.shape[0])]
        grey = picture.mean(axis=2, keepdims=True)
        tinted = (1 - _OPACITY) * grey + _OPACITY * offset_colour(np.nan_to_num(values), self.top)
        drawn: Picture = np.where(np.isnan(values)[..., None], 0.45 * grey, tinted).astype(np.uint8)
        return drawn


def block_maps(clip: Clip, match: Match, plan: RoiPlan) -> list[BlockMap]:
    """The plan, the change of error, and for H.264 the change of QP, between the two encodes of ``match``. Raises `SourceError`."""
    plain, roi, frames = match.plain.path, match.roi.path, plan.frame_count
    offsets = plan.qp_offset + plan.recentre.astype(np.float64)[:, None, None]
    error = compare_error(plan, clip, roi, plain, frames).change
    note = "Dark blocks have no error in one of the encodes." if np.isnan(error).any() else ""
    maps = [
        BlockMap("Plan: QP offset", "QP", offsets, _end(offsets)),
        BlockMap(
            "Realised: change of squared error",
            "dB",
            error,
            _end(error),
            note,
        ),
    ]
    if exports_qp(roi) and exports_qp(plain):
        change = compare_qp(plan, roi, plain, frames).change
        maps.append(BlockMap("Realised: change of QP", "QP", change, _end(change), "Dark blocks send no QP of their own."))
    return maps


def map_picture(picture: Picture, clip: Clip) -> Picture:
    """``picture`` at the size of a map."""
    width, height = panel_size(clip, min(MAP_SIDE, max(picture.shape[:2])))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return Shrinker((max(2, width), max(2, height)))(frame)


def _end(values: NDArray[np.float64]) -> float:
    """The end of a colour scale: the 98th percentile of the magnitudes, rounded up, at least 1."""
    sizes = np.abs(values[np.isfinite(values)])
    return max(1.0, float(np.ceil(np.quantile(sizes, 0.98)))) if sizes.size else 1.0
