"""Writes a contact sheet: several overlay pictures of a clip, arranged in one PNG below one legend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.draw.canvas import DARK, LINE, Picture, blank, png_bytes, write_text
from gpu_saliency.draw.text import LARGE, shortened
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.files import publish, writing
from gpu_saliency.preview.overlay.painter import MARGIN, STYLES, Painter
from gpu_saliency.preview.overlay.source import OnFrame, OverlaySource
from gpu_saliency.texts import printable

DEFAULT_FRAMES, MOST_FRAMES = 12, 120
CUTS = "cuts"
"""Asks for the first frame of each scene."""
_WIDTH, _GAP = 2960, 16
"""Largest width of a sheet, and gap between its pictures, in pixels."""
_SIDE_ALONE, _SIDE_AMONG = 720, 480
"""Longer side in pixels of a panel: in a style with one panel, and in one with several side by side."""


def parse_frames(text: str | None) -> int | str:
    """What ``frames`` asks for: a number, or `CUTS`. Raises `UsageError`."""
    if text is None:
        return DEFAULT_FRAMES
    if text == CUTS:
        return CUTS
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= number <= MOST_FRAMES:
        raise UsageError("is no number of frames", setting="frames", value=text, cure=f"give 1 to {MOST_FRAMES}, or {CUTS}")
    return number


def write_sheet(
    source: OverlaySource,
    output: Path,
    *,
    count: int | str = DEFAULT_FRAMES,
    overwrite: bool = True,
    on_frame: OnFrame | None = None,
) -> dict[str, Any]:
    """Write a contact sheet of ``count`` frames, evenly spread over the clip, or of the first frame of each scene, atomically.

    Returns facts about the file for the command's JSON. Raises `OutputError` or `SourceError`.
    """
    side = _SIDE_AMONG if len(STYLES[source.style]) > 1 else _SIDE_ALONE
    painter = Painter(source.clip, source.plan, source.style, side, alone=False)
    pictures = list(source.pictures(painter, _chosen(source, count), on_frame))
    sheet = _arrange(source, painter, pictures)
    cure = f"give {setting('output')} another path"
    with publish(output, overwrite=overwrite, cure=cure) as temporary, writing(output, cure=cure):
        temporary.write_bytes(png_bytes(sheet))
    return {"codec": "png", "width": sheet.shape[1], "height": sheet.shape[0], "frames": len(pictures)}


def _chosen(source: OverlaySource, count: int | str) -> set[int]:
    """Numbers of the frames to draw."""
    total = source.track.frame_count
    if isinstance(count, str):
        scenes = [0, *source.track.cuts]
        return {scenes[i * len(scenes) // min(len(scenes), MOST_FRAMES)] for i in range(min(len(scenes), MOST_FRAMES))}
    count = min(count, total)
    return {total * (2 * i + 1) // (2 * count) for i in range(count)}


def _arrange(source: OverlaySource, painter: Painter, pictures: list[Picture]) -> Picture:
    """The pictures in rows, below the name of the file, facts about clip and plan, and the legend."""
    width, height = (side + _GAP for side in painter.size)
    columns = max(1, min(len(pictures), (_WIDTH - 2 * MARGIN + _GAP) // width))
    rows = -(-len(pictures) // columns)
    legend = painter.scales()
    full = max(columns * width - _GAP, legend.shape[1]) + 2 * MARGIN
    is_wide = full >= 2 * legend.shape[1] + 700  # then the legend stands beside the name
    head = MARGIN + 3 * LINE + 12 + (0 if is_wide else legend.shape[0])
    sheet = blank(full, head + rows * height - _GAP + MARGIN, DARK)
    room = full - 2 * MARGIN - (legend.shape[1] + MARGIN if is_wide else 0)
    clip, plan = source.clip, source.plan
    seconds = plan.frame_count / float(clip.frame_rate)
    facts = f"{clip.width}x{clip.height}, {plan.frame_count} frames, {seconds:.1f} s; plan {plan.policy.offset:+g} QP"
    facts += f" ({plan.policy.mapping}), {len(plan.segment_start)} segments"
    write_text(sheet, shortened(printable(clip.path.name), room, LARGE), MARGIN, MARGIN - 4, DARK.text, LARGE)
    write_text(sheet, shortened(facts, room), MARGIN, MARGIN + LINE + 4, DARK.text)
    top, left = (MARGIN, full - MARGIN - legend.shape[1]) if is_wide else (MARGIN + 2 * LINE + 8, MARGIN)
    sheet[top : top + legend.shape[0], left : left + legend.shape[1]] = legend
    for column in range(columns):
        painter.write_titles(sheet, MARGIN + column * width, head - LINE)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        y, x = head + row * height, MARGIN + column * width
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return np.ascontiguousarray(sheet)
