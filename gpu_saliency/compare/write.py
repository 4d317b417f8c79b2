"""Writes the pages of a comparison."""

from __future__ import annotations

from gpu_saliency.compare.album import make_album
from gpu_saliency.compare.blind import make_blind_page
from gpu_saliency.compare.report import make_report
from gpu_saliency.compare.result import CompareResult
from gpu_saliency.compare.store import write_text
from gpu_saliency.progress import Observer


def write_pages(result: CompareResult, frames: int, observer: Observer) -> None:
    """Write ``report.html``, and ``blind.html`` if there are pairs. Raises `SourceError` or `OutputError`."""
    album = make_album(result, frames, observer)
    if result.blind is not None:
        write_text(result.blind, make_blind_page(result, album))
    write_text(result.report, make_report(result, album))
