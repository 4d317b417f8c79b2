"""``gpu-saliency doctor``: checks which encoders and devices work on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from gpu_saliency.choices import DEFAULT_FFMPEG
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import FfmpegBin, RunOptions
from gpu_saliency.cli.rows import Rows, format_rows
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import ToolMissingError

if TYPE_CHECKING:
    from gpu_saliency.doctor import DoctorReport, EncoderReport


@with_groups
def doctor(ffmpeg_bin: FfmpegBin = DEFAULT_FFMPEG, *, report: RunOptions) -> None:
    """Check which encoders and devices work on this machine, with a test encode for each encoder."""
    from gpu_saliency.doctor import examine

    with report.reporter().stage("testing each encoder"):
        found = examine(ffmpeg_bin, spell=spell_flag)
    report.show(found.to_json(), format_rows(_rows(found)))
    if not found.healthy:
        raise typer.Exit(ToolMissingError.exit_code)


def _rows(found: DoctorReport) -> Rows:
    rows: Rows = [("python", found.python)]
    rows += [("package", f"{name} {version or 'not installed'}") for name, version in found.packages.items()]
    model = "" if found.runtime.model is None else f"; model {found.runtime.model['name']}"
    rows.append(("runtime", found.runtime.error or ", ".join(found.runtime.providers) + model))
    rows += [("ffmpeg", f"{one.origin}: {one.path}: {one.error or one.version}") for one in found.ffmpeg]
    origins = {one.path: one.origin for one in found.ffmpeg}
    rows += [(name, _encoder_text(result, origins)) for name, result in found.encoders.items()]
    return rows + [("gpu", line) for line in _gpu_lines(found.gpu.to_json(), found.obstacle)]


def _encoder_text(result: EncoderReport, origins: dict[str, str]) -> str:
    result_text = f"{result.error or result.summary}"
    if result.channel is None:
        return result_text
    over = "".join(f" (not {one.channel}: {one.reason})" for one in result.passed_over)
    # The rows above give the paths, so the origin identifies the ffmpeg here.
    origin = origins.get(result.ffmpeg or "", result.ffmpeg)
    return f"{result.channel}{over} by {origin}: {result_text}"


def _gpu_lines(gpu: dict[str, Any], obstacle: str | None) -> list[str]:
    """Describe each GPU, the formats that NVDEC decodes, and the errors of the GPU's software."""
    lines = [
        f"{one['name']}: {one['memory_bytes'] / 2**30:.1f} GiB, compute {one['compute']}, {one['engines']} NVDEC engines"
        for one in gpu["gpus"]
    ]
    if gpu["cuda"]:
        lines.append(f"the driver supports CUDA {gpu['cuda']}")
    if gpu["decodes"]:
        lines.append("NVDEC decodes " + ", ".join(gpu["decodes"]))
    if gpu["gpus"]:
        parts = ("libnvcuvid", "cupy", "pynvvideocodec")
        lines += [f"{part}: {gpu[f'{part}_error']}" for part in parts if gpu[f"{part}_error"]]
    return [*lines, obstacle or "the model runs on it"]
