"""The result of ``score`` as text."""

from __future__ import annotations

import math

from gpu_saliency.cli.rows import Rows, format_rows
from gpu_saliency.score import Metric, Score, ScoreRegion

_TITLES = {
    "psnr": "PSNR",
    "psnr_y": "PSNR Y",
    "ssim": "SSIM",
    "ssim_y": "SSIM Y",
    "xpsnr_y": "XPSNR Y",
    "vmaf": "VMAF",
    "vmaf_scaled": "VMAF scaled",
    "vmaf_far": "VMAF far",
    "vmaf_neg": "VMAF v0.6.1 NEG",
    "vmaf_neg_scaled": "VMAF v0.6.1 NEG scaled",
    "cambi": "CAMBI",
}


def score_lines(score: Score) -> list[str]:
    """Describe ``score`` in lines: the comparison, a row for each metric, and what is missing."""
    scaled = "" if score.scaled_to is None else ", scaled to {}x{}".format(*score.scaled_to)
    head = f"{score.frames} frames, {score.width}x{score.height} {score.pix_fmt}{scaled}"
    rows: Rows = [("compared", head)]
    for name, title in _TITLES.items():
        if name in score.metrics:
            rows.append((title, _values(score.metrics[name], score.models.get(name, ""), worst_is_high=name == "cambi")))
    for region in score.regions:
        rows += _region_rows(region)
    rows += [(f"no {name}", reason) for name, reason in score.unavailable.items()]
    if score.plot is not None:
        rows.append(("plot", str(score.plot)))
    return [format_rows(rows)]


def _region_rows(region: ScoreRegion) -> Rows:
    note = " of luma" if region.share is None else f" of luma, {100 * region.share:.1f} % of the frame"
    if region.circular:
        note += f", CIRCULAR: weighted by the {region.map} that the plan was made from"
    rows = [
        (f"{_TITLES[name]} {region.name}", _values(region.metrics[name], note.removeprefix(" ")))
        for name in ("psnr_y", "ssim_y")
        if name in region.metrics
    ]
    if not rows:
        rows = [(region.name, "no frame has any weight there")]
    rows += [
        (f"{_TITLES[name]} {region.name}", _values(region.metrics[name], "pixels outside replaced by the reference's"))
        for name in ("vmaf", "vmaf_scaled")
        if name in region.metrics
    ]
    return rows


def _values(metric: Metric, note: str = "", *, worst_is_high: bool = False) -> str:
    """Pooled value, then the worst frames."""
    percent, worst, end = (95, "max", 100) if worst_is_high else (5, "min", 0)
    text = f"{_number(metric.pooled)}{' ' + metric.unit if metric.unit else ''}"
    text += f"  (p{percent} {_number(metric.percentile(percent))}, {worst} {_number(metric.percentile(end))})"
    return f"{text}  {note}" if note else text


def _number(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return "no error" if math.isinf(value) else f"{value:.4f}" if abs(value) < 2 else f"{value:.3f}"
