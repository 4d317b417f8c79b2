"""``gpu-saliency doctor``: check what works on this machine."""

from __future__ import annotations

from typing import Any

import typer

from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import FfmpegBin, RunOptions
from gpu_saliency.cli.rows import Rows, format_rows
from gpu_saliency.doctor import examine
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.errors import ToolMissingError


@with_groups
def doctor(ffmpeg_bin: FfmpegBin = DEFAULT_FFMPEG, *, report: RunOptions) -> None:
    """Check which encoders and devices work on this machine: each encoder makes a test encode, which is compared with its plan."""
    with report.reporter().stage("testing each encoder"):
        found = examine(ffmpeg_bin)
    report.show(found, format_rows(_rows(found)))
    if not found["healthy"]:
        raise typer.Exit(ToolMissingError.exit_code)


def _rows(found: dict[str, Any]) -> Rows:
    rows: Rows = [("python", found["python"])]
    rows += [("package", f"{name} {version or 'not installed'}") for name, version in found["packages"].items()]
    runtime = found["runtime"]
    rows.append(("runtime", runtime["error"] or f"{', '.join(runtime['providers'])}; model {runtime['model']['name']}"))
    rows += [("ffmpeg", f"{f['origin']}: {f['path']}: {f['error'] or f['version']}") for f in found["ffmpeg"]]
    rows += [(name, _encoder_text(result, found["ffmpeg"])) for name, result in found["encoders"].items()]
    return rows + [("gpu", line) for line in _gpu_lines(found["gpu"])]


def _encoder_text(result: dict[str, Any], listed: list[dict[str, Any]]) -> str:
    # The rows above give the paths; here the origin is enough to tell them apart.
    origin = next((one["origin"] for one in listed if one["path"] == result["ffmpeg"]), result["ffmpeg"])
    over = "".join(f" (not {one['channel']}: {one['reason']})" for one in result["passed_over"])
    way = f"{result['channel']}{over} by {origin}: " if result["channel"] else ""
    return f"{way}{result['error'] or result['summary']}"


def _gpu_lines(gpu: dict[str, Any]) -> list[str]:
    """Describe each GPU, what it decodes, and why it cannot be used."""
    lines = [
        f"{one['name']}: {one['memory_bytes'] / 2**30:.1f} GiB, compute {one['compute']}, {one['engines']} NVDEC engines"
        for one in gpu["gpus"]
    ]
    if gpu["cuda"]:
        lines.append(f"the driver runs CUDA {gpu['cuda']}")
    if gpu["decodes"]:
        lines.append("NVDEC decodes " + ", ".join(gpu["decodes"]))
    if gpu["gpus"]:
        parts = ("libnvcuvid", "cupy", "pynvvideocodec")
        lines += [f"{part}: {gpu[f'{part}_error']}" for part in parts if gpu[f"{part}_error"]]
    lines.append(gpu["obstacle"] or "the model runs on it")
    return lines
