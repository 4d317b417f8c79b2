"""The result of ``compare`` as text."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_saliency.cli.rows import Rows, format_rows
from gpu_saliency.compare import CompareResult
from gpu_saliency.compare.names import MAIN, digits_of, is_circular, title_of, unit_of
from gpu_saliency.compare.result import EncoderResult


def compare_lines(result: CompareResult) -> list[str]:
    """Describe ``result`` in lines: the BD-rates of each encoder, the pairs of equal size, and the files."""
    rows: Rows = [("source", f"{result.clip.path}: {result.clip.width}x{result.clip.height}, {result.frame_count} frames")]
    for one in result.encoders:
        rows += _encoder_rows(one)
    made = sum(not point.reused for point in result.encodes())
    rows.append(("encodes", f"{made} made, {len(result.encodes()) - made} reused, in {result.work}"))
    rows.append(("results", str(result.results)))
    rows.append(("report", str(result.report)))
    if result.blind is not None:
        rows.append(("blind pairs", str(result.blind)))
    return [format_rows(rows)]


def _encoder_rows(one: EncoderResult) -> Iterator[tuple[str, str]]:
    rates = ", ".join(one.ladder.label(value) for value in one.ladder.values)
    preset = f" {one.job.preset}" if one.job.preset else ""
    yield one.encoder, f"{one.channel}{preset}, {rates}"
    deltas = dict(one.deltas())
    reasons: dict[str, list[str]] = {}
    for name in MAIN:
        if name not in deltas:
            continue
        delta = deltas[name]
        note = "  CIRCULAR: weighted by the plan's own map" if is_circular(name) else ""
        if delta.rate_percent is None or delta.quality is None:
            reasons.setdefault(str(delta.reason), []).append(title_of(name))
        else:
            unit = f" {unit_of(name)}" if unit_of(name) else ""
            quality = f"{delta.quality:+.{digits_of(name)}f}{unit}"
            yield f"  {title_of(name)}", f"{delta.rate_percent:+.1f} % bits at equal quality, {quality} at equal bits{note}"
    for reason, titles in reasons.items():
        yield "  no BD-rate", f"{reason} ({'; '.join(titles)})"
    for match in one.matches:
        yield f"  size of plain {match.plain.label}", f"ROI at {match.roi.label}: {match.size_percent:+.2f} %"
