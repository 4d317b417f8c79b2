"""``gpu-saliency doctor``: what this machine can do."""

from __future__ import annotations

import json
from typing import Any

import typer

from gpu_saliency.cli import options as opt
from gpu_saliency.cli.rows import Rows, print_rows
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.doctor import examine
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.progress import Reporter


def doctor(ffmpeg_bin: opt.FfmpegBin = DEFAULT_FFMPEG, as_json: opt.Json = False, quiet: opt.Quiet = False) -> None:
    """Find out what works here: packages, ffmpeg, and for each encoder whether a test encode really moved bits."""
    with Reporter(quiet=quiet).stage("testing each encoder"):
        report = examine(ffmpeg_bin, spell=spell_flag)
    found = report.to_json()
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        rows: Rows = [("python", found["python"])]
        rows += [("package", f"{name} {version or 'not installed'}") for name, version in found["packages"].items()]
        runtime = found["runtime"]
        rows.append(("runtime", runtime["error"] or f"{', '.join(runtime['providers'])}; model {runtime['model']['name']}"))
        rows += [("ffmpeg", f"{f['origin']}: {f['path']}: {f['error'] or f['version']}") for f in found["ffmpeg"]]
        for name, result in found["encoders"].items():
            rows.append((name, _encoder_text(result, found["ffmpeg"])))
        rows += [("gpu", line) for line in _gpu_lines(found["gpu"])]
        print_rows(rows)
    if not report.healthy:
        raise typer.Exit(ToolMissingError.exit_code)


def _encoder_text(result: dict[str, Any], listed: list[dict[str, Any]]) -> str:
    # The paths stand above; here their origin tells them apart.
    origin = next((one["origin"] for one in listed if one["path"] == result["ffmpeg"]), result["ffmpeg"])
    over = "".join(f" (not {one['channel']}: {one['reason']})" for one in result["passed_over"])
    way = f"{result['channel']}{over} by {origin}: " if result["channel"] else ""
    return f"{way}{result['error'] or result['summary']}"


def _gpu_lines(gpu: dict[str, Any]) -> list[str]:
    """Each GPU, what it decodes, and what is in the way."""
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
