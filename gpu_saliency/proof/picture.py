"""Draws the proof as a PNG of three panels: a source frame, the plan over it, and the realised change over it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.draw.canvas import BAR, LINE, SCALE, Picture, blank, draw_scale, png_bytes, write_text
from gpu_saliency.draw.palette import offset_colour
from gpu_saliency.draw.panel import panel_cells, panel_size
from gpu_saliency.draw.text import LARGE, shortened, wrapped
from gpu_saliency.errors import SourceError, setting
from gpu_saliency.files import publish, writing
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.verdict import Proof
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.shrink import Shrinker

PANEL_SIDE = 560
"""Length of a panel's longer side in pixels."""
_MARGIN = 20
_OPACITY = 0.7
_SWATCH = 32
"""Width in pixels of the sample of what was not measured."""
_NO_BREAK = "\N{NO-BREAK SPACE}"


def write_picture(
    path: str | os.PathLike[str],
    clip: Clip,
    plan: RoiPlan,
    proof: Proof,
    *,
    title: str = "",
    overwrite: bool = True,
    pictures: Iterator[av.VideoFrame] | None = None,
) -> None:
    """Write the picture of ``proof`` to ``path`` atomically; ``clip`` is the source, and ``pictures`` are its frames.

    It has three upright panels: a frame of the segment with the most measured blocks, the effective offsets of that segment, and
    its realised change; above are the result in words and ``title``, the encode; below are the scales and `Proof.summary`. Raises
    `OutputError` or `SourceError`.
    """
    output = Path(path)
    data = png_bytes(_compose(clip, plan, proof, pictures or decode_frames(clip, DecodeTally()), title))
    cure = f"give {setting('picture')} another path"
    with publish(output, overwrite=overwrite, cure=cure, name="picture") as temporary, writing(output, cure=cure):
        temporary.write_bytes(data)


def _compose(clip: Clip, plan: RoiPlan, proof: Proof, pictures: Iterator[av.VideoFrame], title: str) -> Picture:
    number = _best_frame(plan, proof)
    segment = plan.segment_of(number)
    effective = plan.qp_offset[segment] + float(plan.recentre[segment])
    width, height = panel_size(clip, PANEL_SIDE)
    picture = _frame(clip, pictures, number, width, height)
    top = _scale_of(effective)
    # A QP change is drawn on the plan's scale, so that equal colours mean equal numbers; dB has another scale.
    top_change = top if proof.unit == "QP" else _scale_of(proof.change[segment])
    cells = panel_cells(clip, width, height)
    found = f"Measured in the file: {proof.unit} change"
    panels = (
        (f"Source, frame {number}, {float(number / clip.frame_rate):.2f} s", picture, None),
        ("Planned: QP offset", _overlay(picture, effective[cells], top), ("QP", top)),
        (found, _overlay(picture, proof.change[segment][cells], top_change), (proof.unit, top_change)),
    )
    columns = 3 * (width + _MARGIN) + _MARGIN
    room = columns - 2 * _MARGIN
    words = wrapped(proof.summary().replace("; size ", f"; size{_NO_BREAK}"), room)
    above = _MARGIN + LARGE + 12 + (LINE if title else 0)
    below = above + LINE + height + 8
    canvas = blank(columns, below + SCALE + LINE + len(words) * LINE + _MARGIN)
    write_text(canvas, shortened(headline(proof), room, LARGE), _MARGIN, _MARGIN - 6, size=LARGE)
    write_text(canvas, shortened(title, room), _MARGIN, _MARGIN + LARGE + 4)
    for i, (name, panel, scale) in enumerate(panels):
        left = _MARGIN + i * (width + _MARGIN)
        write_text(canvas, shortened(name, width), left, above)
        canvas[above + LINE : above + LINE + height, left : left + width] = panel
        if scale is not None:
            _draw_scale(canvas, left, below, width, *scale)
    if np.isnan(proof.change[segment]).any():
        left = _MARGIN + 2 * (width + _MARGIN)
        sample = np.full((BAR, _SWATCH, 3), 110, np.uint8)
        canvas[below + SCALE : below + SCALE + BAR, left : left + _SWATCH] = _overlay(sample, np.full((BAR, _SWATCH), np.nan), 1)
        note = "no QP of its own here" if proof.unit == "QP" else "not measured"
        write_text(canvas, shortened(note, width - _SWATCH - 8), left + _SWATCH + 8, below + SCALE - 1)
    for i, line in enumerate(words):
        write_text(canvas, line, _MARGIN, below + SCALE + LINE + 4 + i * LINE, (90, 90, 90))
    return canvas


def headline(proof: Proof) -> str:
    """The result in few words: what subject and rest gained, and the size."""
    if proof.moved is None or proof.inside_change is None or proof.outside_change is None:
        return "Undecided: too little could be measured"
    unit = "QP" if proof.unit == "QP" else "dB of error"
    parts = [
        f"{name} {abs(change):.1f} {unit} {'better' if change < 0 else 'worse'}"
        for name, change in (("subject", proof.inside_change), ("the rest", proof.outside_change))
    ]
    if proof.size_ratio is not None:
        parts.append(f"size {100 * (proof.size_ratio - 1):+.1f} %")
    return ("Bits moved as planned: " if proof.moved else "Bits did not move as planned: ") + ", ".join(parts)


def _best_frame(plan: RoiPlan, proof: Proof) -> int:
    """The middle frame of the compared segment with the most measured blocks, and of those the one nearest to the middle."""
    found = []
    for segment, start in enumerate(plan.segment_start):
        end = min(int(plan.segment_end[segment]), proof.frames)
        if start < end:
            middle = (int(start) + end) // 2
            found.append((-int(np.isfinite(proof.change[segment]).sum()), abs(middle - proof.frames // 2), middle))
    return min(found)[2] if found else proof.frames // 2


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
    plain = 0.75 * grey + 60  # light, so that what was measured stands out
    hatched = np.where(((x + y) % 10 == 0)[..., None], plain - 30, plain)
    mixed: Picture = np.where(np.isnan(values)[..., None], hatched, tinted).clip(0, 255).astype(np.uint8)
    return mixed


def _draw_scale(canvas: Picture, left: int, top: int, width: int, unit: str, end: float) -> None:
    colours = offset_colour(np.linspace(-end, end, width), end)
    draw_scale(canvas, colours, left, top, (f"{-end:g} better", f"0 {unit}", f"+{end:g} worse"))
