"""Checks the output path of an overlay before the analysis begins."""

from __future__ import annotations

from pathlib import Path

import av

from gpu_saliency.encode.streams import choose_streams
from gpu_saliency.encode.verify import check_container
from gpu_saliency.errors import OutputError, ToolMissingError
from gpu_saliency.files import check_output
from gpu_saliency.preview.overlay.painter import check_style
from gpu_saliency.preview.overlay.video import CODEC, ENCODER
from gpu_saliency.source.clip import Clip

_PICTURES = (".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")


def check_preview_output(output: Path, clip: Clip, style: str, *, audio: bool, overwrite: bool) -> None:
    """Raise `OutputError`, `ToolMissingError` or `UsageError` if the overlay of ``clip`` cannot be written to ``output``."""
    check_style(style)
    check_output(output, clip.path, overwrite=overwrite)
    if is_sheet(output):
        return
    if output.suffix.lower() in _PICTURES:
        raise OutputError(f"{output}: a contact sheet is a PNG", cure=f"give {output.stem}.png, or .mp4 or .mkv for a video")
    if ENCODER not in av.codec.codecs_available:
        cure = "run pip install --force-reinstall --no-deps av"
        raise ToolMissingError(f"{output}: this build of PyAV has no {ENCODER}", cure=cure)
    check_container(output, CODEC)
    choose_streams(clip, output, audio=audio)


def is_sheet(output: Path) -> bool:
    """Whether ``output`` is a contact sheet (.png) and not a video."""
    return output.suffix.lower() == ".png"
