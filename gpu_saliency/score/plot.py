"""Draws a score as one PNG: a panel for each kind of metric, a line for each metric, frame by frame.

Drawn with the package's own pictures: a plotting library would be a large dependency for a few lines.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.draw.canvas import LINE, Picture, png_bytes, write_text
from gpu_saliency.draw.text import text_width
from gpu_saliency.errors import setting
from gpu_saliency.files import publish, writing
from gpu_saliency.score.metric import Metric
from gpu_saliency.score.result import Score

# Colours that people with common kinds of colour blindness can distinguish: Okabe and Ito, "Color Universal Design", 2008.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233))
_WIDTH, _HEIGHT, _LEFT, _MARGIN = 1200, 150, 120, 16
_GRID = (225, 225, 225)
_THICK = 2
Curves = list[tuple[str, Metric]]


def write_plot(path: Path, score: Score, *, overwrite: bool = True) -> None:
    """Write the PNG ``path``; it appears under its name only when it is complete. Raises `OutputError`."""
    data = png_bytes(draw_plot(score))
    cure = f"give {setting('plot')} another path"
    with publish(path, overwrite=overwrite, cure=cure, name="plot") as temporary, writing(path, cure=cure):
        temporary.write_bytes(data)


def draw_plot(score: Score) -> Picture:
    """The picture of `write_plot`."""
    panels = [(title, curves) for title, curves in _panels(score) if curves]
    panel_height = 2 * LINE + _HEIGHT + _MARGIN
    canvas = np.full((len(panels) * panel_height + LINE + 2 * _MARGIN, _WIDTH, 3), 255, np.uint8)
    for number, (title, curves) in enumerate(panels):
        _draw_panel(canvas, _MARGIN + number * panel_height, title, curves)
    bottom = len(canvas) - LINE - _MARGIN // 2
    write_text(canvas, "frame 0", _LEFT, bottom)
    last = f"{score.frames - 1}"
    write_text(canvas, last, _WIDTH - _MARGIN - text_width(last), bottom)
    return canvas


def _panels(score: Score) -> list[tuple[str, Curves]]:
    def whole(*names: str) -> Curves:
        return [(name, score.metrics[name]) for name in names if name in score.metrics]

    def regions(metric: str, note: str = "") -> Curves:
        found = [region for region in score.regions if metric in region.metrics]
        return [(region.name + (" (circular)" if region.circular else note), region.metrics[metric]) for region in found]

    return [
        ("VMAF", whole("vmaf", "vmaf_scaled", "vmaf_neg") + regions("vmaf", " (outside replaced)")),
        ("PSNR Y, dB", regions("psnr_y") or whole("psnr_y")),
        # Regions have the Gaussian window, which gives other numbers than ffmpeg's filter: never both in a panel.
        ("SSIM Y", regions("ssim_y") or whole("ssim_y")),
        ("XPSNR Y, dB", whole("xpsnr_y")),
        ("CAMBI, lower is better", whole("cambi")),
    ]


def _draw_panel(canvas: Picture, top: int, title: str, curves: Curves) -> None:
    write_text(canvas, title, _LEFT, top)
    left = _LEFT + text_width(title) + 3 * _MARGIN
    for number, (name, _) in enumerate(curves):
        name = name.replace("_", " ")
        write_text(canvas, name, left, top, _COLOURS[number % len(_COLOURS)])
        left += text_width(name) + 2 * _MARGIN
    low, high = _limits(curves)
    plot = canvas[top + LINE : top + LINE + _HEIGHT, _LEFT : _WIDTH - _MARGIN]
    for part in (0.0, 0.5, 1.0):
        row = round((1 - part) * (_HEIGHT - 1))
        plot[row] = _GRID
        label = f"{low + part * (high - low):.4g}"
        write_text(canvas, label, _LEFT - text_width(label) - _MARGIN // 2, top + LINE + row - LINE // 3)
    for number, (_, metric) in enumerate(curves):
        _draw_curve(plot, metric.frames, low, high, _COLOURS[number % len(_COLOURS)])


def _limits(curves: Curves) -> tuple[float, float]:
    values = np.concatenate([metric.frames[np.isfinite(metric.frames)] for _, metric in curves])
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _draw_curve(plot: Picture, values: NDArray[np.float64], low: float, high: float, colour: tuple[int, int, int]) -> None:
    """Draw ``values`` over the whole width of ``plot``; several frames in one column become a bar from the least to the greatest.

    Frames without a finite value leave a gap.
    """
    height, width = plot.shape[:2]
    edges = np.linspace(0, max(1, len(values) - 1), width + 1)
    numbers = np.arange(len(values))
    for column in range(width):
        within = values[int(np.ceil(edges[column])) : int(np.floor(edges[column + 1])) + 1]
        ends = np.interp(edges[column : column + 2], numbers, values)
        found = np.concatenate((ends, within))
        found = found[np.isfinite(found)]
        if len(found):
            rows = np.rint((1 - (np.array([found.max(), found.min()]) - low) / (high - low)) * (height - 1)).astype(int)
            plot[max(0, rows[0] - _THICK // 2) : rows[1] + 1 + _THICK // 2, column] = colour
