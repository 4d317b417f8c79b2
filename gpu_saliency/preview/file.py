"""`draw_preview`: a clip's saliency and plan over its frames, as a video or a contact sheet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.choices import DEFAULT_STYLE
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.overlay.output import check_preview_output, is_sheet
from gpu_saliency.preview.overlay.sheet import DEFAULT_FRAMES, parse_frames, write_sheet
from gpu_saliency.preview.overlay.source import OverlaySource
from gpu_saliency.preview.overlay.video import write_overlay
from gpu_saliency.progress import Observer
from gpu_saliency.source.clip import Clip


def draw_preview(
    clip: Clip,
    sidecar: Sidecar,
    plan: RoiPlan,
    output: str | os.PathLike[str],
    *,
    style: str = DEFAULT_STYLE,
    frames: int | str = DEFAULT_FRAMES,
    audio: bool = True,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> dict[str, Any]:
    """Draw the saliency of ``sidecar`` and ``plan`` over ``clip``: a contact sheet for ``.png``, a video otherwise.

    ``style`` is ``heat``, ``plan`` or ``side-by-side``. ``frames`` is the number of frames of a contact sheet, or ``cuts`` for the
    first frame of each scene. Returns facts about the file, such as its width and height in pixels. Raises any `GpuSaliencyError`.
    """
    path = Path(output)
    check_preview_output(path, clip, style, audio=audio, overwrite=overwrite)
    count = parse_frames(str(frames))
    source = OverlaySource(clip, sidecar.track, plan, style)
    with (observer or Observer()).stage("drawing") as advance:

        def on_frame(done: int) -> None:
            advance(done, sidecar.frame_count)

        if is_sheet(path):
            return write_sheet(source, path, count=count, overwrite=overwrite, on_frame=on_frame)
        return write_overlay(source, path, audio=audio, overwrite=overwrite, on_frame=on_frame)
