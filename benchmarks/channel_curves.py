"""The rate-distortion curves behind the BD-rates of docs/channels.md, from the figures in docs/measured, as a picture.

A panel for each channel: the mean PSNR over the clips against the geometric mean of their sizes, at each base quality; inside the
true masks in full lines and outside of them in dashed ones. ``make_results_page.py`` writes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from make_channel_table import read
from svg_plot import Line, Plot, draw

PANELS = (
    ("libsvtav1", "svtav1-map", None, "bd_rate_av1.json"),
    ("libsvtav1", "prefilter", "fast", "bd_rate_av1.json"),
    ("libaom-av1", "prefilter", "fast", "bd_rate_av1.json"),
    ("libvvenc", "prefilter", "fast", "bd_rate_vvenc.json"),
)
"""Encoder, channel, background (None: any), file with the figures."""
_PLANS = ("plain encode", "model's plan", "plan of the true masks")


def draw_curves() -> str:
    """The SVG of all panels."""
    return draw([_panel(*one) for one in PANELS], columns=2, width=620, height=560)


def _panel(encoder: str, channel: str, background: str | None, name: str) -> Plot:
    """The curves of one channel over all clips of the file ``name``."""
    rows = [
        row
        for row in read(name)["rows"]
        if (row["encoder"], row["channel"]) == (encoder, channel) and background in (None, row.get("background", background))
    ]
    model, truth = ([row for row in rows if row["saliency"] == plan] for plan in ("model", "truth"))
    curves = ([row["plain"] for row in model], [row["roi"] for row in model], [row["roi"] for row in truth])
    lines = [
        Line(f"{plan}, {side}", _mean(clips, side), dashed=side == "outside", colour=colour)
        for side in ("inside", "outside")
        for colour, (plan, clips) in enumerate(zip(_PLANS, curves, strict=True))
    ]
    title = f"{encoder}, {channel}{'' if background is None else ' ' + background}, {len(model)} clips"
    return Plot(title, "size, kB (logarithmic)", "luma PSNR, dB", lines, log_x=True, legend_top=False)


def _mean(clips: list[list[dict[str, Any]]], side: str) -> list[tuple[float, float]]:
    points = [(float(np.log([clip[i]["video_bytes"] for clip in clips]).mean()), i) for i in range(len(clips[0]))]
    return [(float(np.exp(size)) / 1000, float(np.mean([clip[i][f"{side}_db"] for clip in clips]))) for size, i in points]
