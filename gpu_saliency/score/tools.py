"""Chooses the ffmpeg that scores, and finds which metrics it has."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from functools import lru_cache

from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, Ffmpeg, candidates, probe_ffmpeg
from gpu_saliency.errors import ToolMissingError, setting
from gpu_saliency.process import children
from gpu_saliency.score.views import View

FILTERS = {
    "psnr": ("psnr", "psnr_y", "psnr_u", "psnr_v"),
    "ssim": ("ssim", "ssim_y", "ssim_u", "ssim_v"),
    "xpsnr": ("xpsnr_y", "xpsnr_u", "xpsnr_v"),
}
"""The metrics of each filter that compares two clips, apart from libvmaf."""
_TRY_TIMEOUT = 30
_TRY_SIZE = "640x360"
"""Large enough for all models; see views.py."""


def choose_ffmpeg(wanted: str, views: Iterable[View]) -> tuple[Ffmpeg, dict[str, str]]:
    """The ffmpeg to use, and why it lacks each metric that it lacks.

    ``wanted`` is a path, a command name, or the default ``ffmpeg``: then the one on PATH if it has every metric, else the one
    with most, which is the bundled one as a rule. Raises `ToolMissingError` where none runs.
    """
    views = tuple(views)
    if wanted != DEFAULT_FFMPEG:
        path = shutil.which(wanted)
        if path is None:
            cure = f"give a path, or leave {setting('ffmpeg_bin')} out"
            raise ToolMissingError("no such program", setting="ffmpeg_bin", value=wanted, cure=cure)
        found = probe_ffmpeg(path, "asked for")
        return found, missing_metrics(found, views)
    reasons, best = [], None
    for origin, path in candidates():
        try:
            found = probe_ffmpeg(path, origin)
        except ToolMissingError as error:
            reasons.append(error.message)
            continue
        missing = missing_metrics(found, views)
        if best is None or len(missing) < len(best[1]):
            best = found, missing
        if not missing:
            break
    if best is None:
        cure = "install ffmpeg, or pip install imageio-ffmpeg"
        raise ToolMissingError("no usable ffmpeg: " + ("; ".join(reasons) or "none on PATH and none bundled"), cure=cure)
    return best


def missing_metrics(ffmpeg: Ffmpeg, views: Iterable[View]) -> dict[str, str]:
    """The metrics that ``ffmpeg`` cannot measure, with the reason."""
    missing = {
        metric: f"ffmpeg {ffmpeg.version} has no filter {name}"
        for name, metrics in FILTERS.items()
        if name not in ffmpeg.filters
        for metric in metrics
    }
    for view in views:
        for metric, model in view.models.items():
            if "libvmaf" not in ffmpeg.filters:
                missing[metric] = f"ffmpeg {ffmpeg.version} has no filter libvmaf"
            elif not _accepts(ffmpeg.path, f"model=version={model}"):
                missing[metric] = f"ffmpeg {ffmpeg.version} has no VMAF model {model}"
        if view.cambi and not ("libvmaf" in ffmpeg.filters and _accepts(ffmpeg.path, "feature=name=cambi")):
            missing["cambi"] = f"ffmpeg {ffmpeg.version} has no CAMBI"
    return missing


@lru_cache(maxsize=64)
def _accepts(path: str, option: str) -> bool:
    """Whether libvmaf of this ffmpeg accepts ``option``: one frame of one colour is scored with it."""
    graph = f"color=size={_TRY_SIZE}:rate=1:duration=1,format=yuv420p10le,split[a][b];[a][b]libvmaf={option}"
    command = [path, "-v", "error", "-nostdin", "-filter_complex", graph, "-frames:v", "1", "-f", "null", "-"]
    try:
        return children.run(command, _TRY_TIMEOUT).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
