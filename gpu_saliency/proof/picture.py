"""Draws the proof as a PNG of three panels: a source frame, the plan over it, and the realised change over it."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.draw.canvas import BAR, LETTER, LINE, Picture, draw_scale, png_bytes, write_text
from gpu_saliency.draw.glyphs import ADVANCE
from gpu_saliency.draw.palette import offset_colour
from gpu_saliency.draw.panel import panel_cells, panel_size
from gpu_saliency.errors import SourceError, setting
from gpu_saliency.files import publish, writing
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.verdict import Proof
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.shrink import Shrinker

PANEL_SIDE = 560
"""Length of a panel's longer side in pixels."""
_MARGIN = 16
_OPACITY = 0.7


def write_picture(
    path: str | os.PathLike[str],
    clip: Clip,
    plan: RoiPlan,
    proof: Proof,
    *,
    overwrite: bool = True,
    pictures: Iterator[av.VideoFrame] | None = None,
) -> None:
    """Write the picture of ``proof`` to ``path`` atomically; ``clip`` is the source, and ``pictures`` are its frames.

    It has three upright panels: the middle frame of the compared frames, the effective offsets of its segment, and the realised
    change of that segment; below are the scales and `Proof.summary`. Raises `OutputError` or `SourceError`.
    """
    output = Path(path)
    data = png_bytes(_compose(clip, plan, proof, pictures or decode_frames(clip, DecodeTally())))
    cure = f"give {setting('picture')} another path"
    with publish(output, overwrite=overwrite, cure=cure, name="picture") as temporary, writing(output, cure=cure):
        temporary.write_bytes(data)


def _compose(clip: Clip, plan: RoiPlan, proof: Proof, pictures: Iterator[av.VideoFrame]) -> Picture:
    number = proof.frames // 2
    segment = plan.segment_of(number)
    effective = plan.qp_offset[segment] + float(plan.recentre[segment])
    width, height = panel_size(clip, PANEL_SIDE)
    picture = _frame(clip, pictures, number, width, height)
    top = _scale_of(effective)
    # A QP change is drawn on the plan's scale, so that equal colours mean equal numbers; dB has another scale.
    top_change = top if proof.unit == "QP" else _scale_of(proof.change[segment])
    cells = panel_cells(clip, width, height)
    panels = (
        (f"Source, frame {number}", picture, None),
        ("Plan: QP offset", _overlay(picture, effective[cells], top), ("QP", top)),
        (f"Realised: {proof.unit} change", _overlay(picture, proof.change[segment][cells], top_change), (proof.unit, top_change)),
    )
    columns = 3 * (width + _MARGIN) + _MARGIN
    words = textwrap.wrap(proof.summary(), (columns - 2 * _MARGIN) // (ADVANCE * LETTER))
    words += ["Hatched: not measured."] if np.isnan(proof.change[segment]).any() else []
    canvas = np.full((2 * _MARGIN + height + BAR + (len(words) + 3) * LINE, columns, 3), 255, np.uint8)
    for i, (title, panel, scale) in enumerate(panels):
        left, bottom = _MARGIN + i * (width + _MARGIN), _MARGIN + LINE + height
        write_text(canvas, title, left, _MARGIN)
        canvas[bottom - height : bottom, left : left + width] = panel
        if scale is not None:
            _draw_scale(canvas, left, bottom + 8, width, *scale)
    for i, line in enumerate(words):
        write_text(canvas, line, _MARGIN, 2 * _MARGIN + height + BAR + (i + 2) * LINE)
    return canvas


def _frame(clip: Clip, pictures: Iterator[av.VideoFrame], number: int, width: int, height: int) -> Picture:
    """Frame ``number`` of the source, upright, ``[height, width, 3]``."""
    frame = next(islice(pictures, number, None), None)
    if frame is None:
        raise SourceError(f"{clip.path}: has no frame {number}", cure="give the source that was encoded")
    return Shrinker((width, height), clip.orientation)(frame)


def _scale_of(values: NDArray[np.floating]) -> float:
    """The end of the colour scale for ``values``: the 98th percentile of their magnitudes, rounded up, at least 1."""
    sizes = np.abs(values[~np.isnan(values)])
    return max(1.0, float(np.ceil(np.quantile(sizes, 0.98)))) if sizes.size else 1.0


def _overlay(picture: Picture, values: NDArray[np.floating], top: float) -> Picture:
    """Draw ``values`` ``[height, width]`` as colours over the picture in grey; NaN is hatched."""
    grey = picture.mean(axis=2, keepdims=True)
    tinted = (1 - _OPACITY) * grey + _OPACITY * offset_colour(np.nan_to_num(values), top)
    y, x = np.indices(values.shape)
    hatched = np.where(((x + y) // 3 % 3 == 0)[..., None], 90.0, 0.5 * grey + 80)
    mixed: Picture = np.where(np.isnan(values)[..., None], hatched, tinted).astype(np.uint8)
    return mixed


def _draw_scale(canvas: Picture, left: int, top: int, width: int, unit: str, end: float) -> None:
    colours = offset_colour(np.linspace(-end, end, width), end)
    draw_scale(canvas, colours, left, top, (f"{-end:g} better", f"0 {unit}", f"+{end:g} worse"))
