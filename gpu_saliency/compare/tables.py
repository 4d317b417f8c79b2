"""The report's tables and its key numbers, as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from gpu_saliency.compare.bd import Delta
from gpu_saliency.compare.names import MAIN, digits_of, is_circular, title_of, unit_of
from gpu_saliency.compare.point import Point
from gpu_saliency.compare.result import CompareResult, EncoderResult

_CARDS = ("vmaf", "vmaf_neg", "psnr_y", "gaze.psnr_y", "inside.psnr_y", "outside.psnr_y")
_COLUMNS = ("vmaf", "vmaf_scaled", "vmaf_neg", "psnr_y", "ssim", "xpsnr_y", "cambi", "gaze.psnr_y", "inside.psnr_y", "plan.psnr_y")
MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"


def signed(value: float, digits: int, unit: str = "") -> str:
    """``+1.20 dB``; with the sign that belongs to numbers."""
    text = f"{value:+.{digits}f}".replace("-", MINUS)
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def cards(one: EncoderResult) -> str:
    """The deltas that most people ask for."""
    found = dict(one.deltas())
    shown = [(name, found[name].rate_percent) for name in _CARDS if name in found]
    parts = []
    for name, value in shown:
        if value is None:
            continue
        parts.append(
            f'<div class=card><b class="{_colour(value)}">{signed(value, 1, "%")}</b><span>bits at equal {escape(title_of(name))}</span></div>'
        )
    return f"<div class=cards>{''.join(parts)}</div>" if parts else ""


def delta_table(result: CompareResult, names: Iterable[str], caption: str) -> str:
    """Rows of metrics, two columns for each encoder. Empty if none of ``names`` was measured."""
    columns = [dict(one.deltas()) for one in result.encoders]
    head = "".join(f"<th colspan=2 scope=colgroup class=of>{escape(one.encoder)}</th>" for one in result.encoders)
    first = f"<tr><th></th>{head}</tr>" if len(columns) > 1 else ""
    second = "<th scope=col>Bits at equal quality</th><th scope=col>Quality at equal bits</th>" * len(columns)
    rows = []
    for name in names:
        if not any(name in found for found in columns):
            continue
        cells = "".join(_delta_cells(name, found.get(name)) for found in columns)
        note = " (circular)" if is_circular(name) else ""
        rows.append(f"<tr{' class=circular' if note else ''}><th scope=row>{escape(title_of(name))}{note}</th>{cells}</tr>")
    if not rows:
        return ""
    return (
        f"<div class=scroll tabindex=0><table class=deltas><caption>{escape(caption)}</caption><thead>{first}"
        f"<tr><th scope=col>Metric</th>{second}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def reasons(result: CompareResult, names: Iterable[str]) -> str:
    """Why deltas of ``names`` are missing, each reason once."""
    wanted = set(names)
    found: dict[str, list[str]] = {}
    for one in result.encoders:
        for name, delta in one.deltas():
            if delta.reason is not None and name in wanted:
                found.setdefault(f"{one.encoder}: {delta.reason}", []).append(title_of(name))
    lines = [f"{reason} ({'; '.join(titles)})." for reason, titles in found.items()]
    return "".join(f"<p class=notice>No BD-rate for {escape(line)}</p>" for line in lines)


def point_table(one: EncoderResult) -> str:
    """All encodes of the ladder, plain above ROI at each rate."""
    columns = _measured((*one.plain, *one.roi))
    head = "".join(f"<th scope=col>{escape(title_of(name))}</th>" for name in columns)
    rows = []
    for plain, roi in zip(one.plain, one.roi, strict=True):
        change = 100 * (roi.video_bytes / plain.video_bytes - 1)
        rows.append(_point_row(plain.label, "Plain", plain, "", columns))
        rows.append(_point_row("", "ROI", roi, signed(change, 2, "%"), columns))
    return (
        f"<div class=scroll tabindex=0><table><caption>Encodes of {escape(one.encoder)}</caption><thead><tr><th scope=col>Rate</th>"
        f'<th scope=col style="text-align:left">Encode</th><th scope=col>kbit/s</th><th scope=col>Size</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def match_table(one: EncoderResult) -> str:
    """The pairs of equal size: how near they came, and what each metric gains."""
    columns = _measured([match.roi for match in one.matches])
    head = "".join(f"<th scope=col>{escape(title_of(name))}</th>" for name in columns)
    rows = []
    for match in one.matches:
        cells = "".join(f"<td>{_difference(name, match.plain, match.roi)}</td>" for name in columns)
        rows.append(
            f"<tr><th scope=row>{escape(match.plain.label)}</th><td class=text>{escape(match.roi.label)}</td>"
            f"<td>{match.plain.bits_per_second / 1000:.1f}</td><td>{signed(match.size_percent, 2, '%')}</td>{cells}</tr>"
        )
    return (
        f"<div class=scroll tabindex=0><table><caption>{escape(one.encoder)}: ROI minus plain at equal size</caption><thead><tr>"
        '<th scope=col>Plain</th><th scope=col style="text-align:left">ROI</th><th scope=col>kbit/s</th><th scope=col>Size</th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _measured(points: Sequence[Point]) -> list[str]:
    return [name for name in _COLUMNS if any(name in (point.metrics or {}) for point in points)]


def _point_row(label: str, kind: str, point: Point, change: str, columns: Sequence[str]) -> str:
    cells = "".join(f"<td>{_value(name, point.metric(name))}</td>" for name in columns)
    return (
        f"<tr><th scope=row>{escape(label)}</th><td class=text>{kind}</td><td>{point.bits_per_second / 1000:.1f}</td>"
        f"<td>{change}</td>{cells}</tr>"
    )


def _delta_cells(name: str, delta: Delta | None) -> str:
    if delta is None or delta.rate_percent is None or delta.quality is None:
        return f"<td class=none>{NONE}</td><td class=none>{NONE}</td>"
    rate, quality = delta.rate_percent, delta.quality
    return (
        f'<td class="{_colour(rate)}">{signed(rate, 1, "%")}</td>'
        f'<td class="{_colour(-quality)}">{signed(quality, digits_of(name), unit_of(name))}</td>'
    )


def _colour(value: float) -> str:
    """Blue for fewer bits, orange for more."""
    return "less" if value < 0 else "more"


def _value(name: str, value: float | None) -> str:
    if value is None or math.isnan(value):
        return NONE
    return "no error" if math.isinf(value) else f"{value:.{digits_of(name)}f}"


def _difference(name: str, plain: Point, roi: Point) -> str:
    a, b = plain.metric(name), roi.metric(name)
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        return NONE
    return signed(b - a, digits_of(name))


def other_names(result: CompareResult) -> list[str]:
    """Measured metrics that are not in the first table."""
    names = dict.fromkeys(name for one in result.encoders for name, _ in one.deltas())
    return [name for name in names if name not in MAIN]
