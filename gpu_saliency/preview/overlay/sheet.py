"""Writes a contact sheet: several overlay pictures of a clip, arranged in one PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.draw.canvas import png_bytes
from gpu_saliency.errors import setting
from gpu_saliency.files import publish, writing
from gpu_saliency.preview.overlay.painter import STYLES
from gpu_saliency.preview.overlay.source import OnFrame, OverlaySource

_WIDTH, _GAP = 2112, 16
"""Largest width of a sheet, and gap between its pictures, in pixels."""
_SIDE_ALONE, _SIDE_AMONG = 480, 320
"""Longer side in pixels of a panel: in a style with one panel, and in one with several side by side."""


def write_sheet(
    source: OverlaySource, output: Path, *, count: int = 12, overwrite: bool = True, on_frame: OnFrame | None = None
) -> dict[str, Any]:
    """Write a contact sheet of ``count`` frames, evenly spread over the clip, atomically.

    Returns facts about the file for the command's JSON. Raises `OutputError` or `SourceError`.
    """
    count = min(count, source.track.frame_count)
    wanted = {source.track.frame_count * (2 * i + 1) // (2 * count) for i in range(count)}
    painter = source.painter(_SIDE_AMONG if len(STYLES[source.style]) > 1 else _SIDE_ALONE)
    pictures = list(source.pictures(painter, wanted, on_frame))
    width, height = (side + _GAP for side in painter.size)
    columns = max(1, min(len(pictures), _WIDTH // width))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = row * height + _GAP, column * width + _GAP
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    cure = f"give {setting('output')} another path"
    with publish(output, overwrite=overwrite, cure=cure) as temporary, writing(output, cure=cure):
        temporary.write_bytes(png_bytes(sheet))
    return {"codec": "png", "width": sheet.shape[1], "height": sheet.shape[0], "frames": len(pictures)}
