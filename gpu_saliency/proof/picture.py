"""The proof as one PNG: a frame of the source, the plan over it, and what became of the plan."""

from __future__ import annotations

import textwrap
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.clip import Clip
from gpu_saliency.decode import DecodeTally, Shrinker, decode_frames
from gpu_saliency.errors import OutputError, SourceError
from gpu_saliency.output import temporary_output
from gpu_saliency.plan import RoiPlan
from gpu_saliency.proof.glyphs import ADVANCE, HEIGHT, text_dots
from gpu_saliency.proof.verdict import Proof

Picture = NDArray[np.uint8]
"""``[height, width, 3]``, R'G'B'."""

PANEL_SIDE = 560
"""Pixels of a panel's longer side."""
_MARGIN, _BAR, _LETTER = 16, 16, 2
_LINE = (HEIGHT + 4) * _LETTER
_INK = (40, 40, 40)
# Blue to white to orange: told apart with every common colour blindness, and by lightness on neither side.
_BETTER, _WORSE = np.array([0, 90, 181], np.float64), np.array([220, 100, 0], np.float64)
_OPACITY = 0.7


def write_picture(path: Path, clip: Clip, plan: RoiPlan, proof: Proof) -> None:
    """Write the PNG ``path`` in one step: a temporary name, then a rename. ``clip`` is the source.

    Three panels, upright: the frame in the middle of what was compared, the plan's offsets there, and the realised change of the
    same segment; below, the scale and `Proof.summary`. Raises `OutputError` or `SourceError`.
    """
    data = _png(_compose(clip, plan, proof))
    with temporary_output(path) as temporary:
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}", cure="give --picture another path") from error


def _compose(clip: Clip, plan: RoiPlan, proof: Proof) -> Picture:
    number = proof.frames // 2
    segment = plan.segment_of(number)
    effective = plan.qp_offset[segment] + float(plan.recentre[segment])
    width, height = _panel_size(clip)
    picture = _frame(clip, number, width, height)
    top = _scale_of(effective)
    # QP is shown on the plan's own scale, so that equal colours mean equal numbers; a dB has a scale of its own.
    top_change = top if proof.unit == "QP" else _scale_of(proof.change[segment])
    cells = _cells(clip, width, height)
    panels = (
        (f"Source, frame {number}", picture, None),
        ("Plan: QP offset", _overlay(picture, effective[cells], top), ("QP", top)),
        (f"Realised: {proof.unit} change", _overlay(picture, proof.change[segment][cells], top_change), (proof.unit, top_change)),
    )
    columns = 3 * (width + _MARGIN) + _MARGIN
    words = textwrap.wrap(proof.summary(), (columns - 2 * _MARGIN) // (ADVANCE * _LETTER))
    words += ["Hatched: not measured."] if np.isnan(proof.change[segment]).any() else []
    canvas = np.full((2 * _MARGIN + height + _BAR + (len(words) + 3) * _LINE, columns, 3), 255, np.uint8)
    for i, (title, panel, scale) in enumerate(panels):
        left, bottom = _MARGIN + i * (width + _MARGIN), _MARGIN + _LINE + height
        _write(canvas, title, left, _MARGIN)
        canvas[bottom - height : bottom, left : left + width] = panel
        if scale is not None:
            _draw_scale(canvas, left, bottom + 8, width, *scale)
    for i, line in enumerate(words):
        _write(canvas, line, _MARGIN, 2 * _MARGIN + height + _BAR + (i + 2) * _LINE)
    return canvas


def _panel_size(clip: Clip) -> tuple[int, int]:
    """Width and height of a panel: the clip's shape as a player shows it."""
    wide, high = float(clip.width * clip.sample_aspect_ratio), float(clip.height)
    if clip.rotation % 180:
        wide, high = high, wide
    scale = PANEL_SIDE / max(wide, high)
    return max(1, round(wide * scale)), max(1, round(high * scale))


def _frame(clip: Clip, number: int, width: int, height: int) -> Picture:
    """Frame ``number`` of the source, upright, ``[height, width, 3]``."""
    frame = next(islice(decode_frames(clip, DecodeTally()), number, None), None)
    if frame is None:
        raise SourceError(f"{clip.path}: has no frame {number}")
    return Shrinker((width, height), clip.rotation)(frame)


def _cells(clip: Clip, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each pixel of an upright panel the row and the column of its block; both ``[height, width]``."""
    coded = (height, width) if clip.rotation % 180 == 0 else (width, height)
    y = ((np.arange(coded[0]) + 0.5) * clip.height / coded[0]).astype(np.intp) // 16
    x = ((np.arange(coded[1]) + 0.5) * clip.width / coded[1]).astype(np.intp) // 16
    rows, cols = np.meshgrid(y, x, indexing="ij")
    turns = clip.rotation // 90
    return np.rot90(rows, turns), np.rot90(cols, turns)


def _scale_of(values: NDArray[np.floating]) -> float:
    """End of a scale for ``values``: a round number that few exceed."""
    sizes = np.abs(values[~np.isnan(values)])
    return max(1.0, float(np.ceil(np.quantile(sizes, 0.98)))) if sizes.size else 1.0


def _colour(values: NDArray[np.floating], top: float) -> NDArray[np.float64]:
    """``[...]`` to ``[..., 3]``: -top and below blue, 0 white, top and above orange."""
    part = np.clip(values / top, -1, 1)[..., None]
    end = np.where(part < 0, _BETTER, _WORSE)
    mixed: NDArray[np.float64] = 255 + np.abs(part) * (end - 255)
    return mixed


def _overlay(picture: Picture, values: NDArray[np.floating], top: float) -> Picture:
    """``values`` ``[height, width]`` as colour over the grey picture; NaN hatched."""
    grey = picture.mean(axis=2, keepdims=True)
    tinted = (1 - _OPACITY) * grey + _OPACITY * _colour(np.nan_to_num(values), top)
    y, x = np.indices(values.shape)
    hatched = np.where(((x + y) // 3 % 3 == 0)[..., None], 90.0, 0.5 * grey + 80)
    mixed: Picture = np.where(np.isnan(values)[..., None], hatched, tinted).astype(np.uint8)
    return mixed


def _draw_scale(canvas: Picture, left: int, top: int, width: int, unit: str, end: float) -> None:
    canvas[top : top + _BAR, left : left + width] = _colour(np.linspace(-end, end, width), end).astype(np.uint8)
    canvas[[top, top + _BAR - 1], left : left + width] = 160
    below = top + _BAR + 6
    last = f"+{end:g} worse"
    _write(canvas, f"{-end:g} better", left, below)
    _write(canvas, f"0 {unit}", left + width // 2 - ADVANCE * _LETTER // 2, below)
    _write(canvas, last, left + width - len(last) * ADVANCE * _LETTER, below)


def _write(canvas: Picture, text: str, left: int, top: int) -> None:
    dots = text_dots(text).repeat(_LETTER, axis=0).repeat(_LETTER, axis=1)
    area = canvas[top : top + dots.shape[0], left : left + dots.shape[1]]
    area[dots[: area.shape[0], : area.shape[1]]] = _INK


def _png(picture: Picture) -> bytes:
    """``picture`` as a PNG file, by libavcodec."""
    encoder = av.VideoCodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.shape[1], picture.shape[0], "rgb24"
    encoder.framerate = Fraction(1)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
