"""``gpu-saliency doctor``: checks which encoders and devices work on this machine."""

from __future__ import annotations

import typer

from gpu_saliency.choices import DEFAULT_FFMPEG
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import FfmpegBin, RunOptions
from gpu_saliency.errors import ToolMissingError


@with_groups
def doctor(ffmpeg_bin: FfmpegBin = DEFAULT_FFMPEG, *, report: RunOptions) -> None:
    """Check which encoders and devices work on this machine, with a test encode for each encoder."""
    from gpu_saliency.cli.show_doctor import doctor_text
    from gpu_saliency.doctor import check_machine

    found = check_machine(ffmpeg_bin, report.reporter())
    shown = doctor_text(found, verbose=report.verbose)
    report.show(found.to_json(), shown.plain, styled=shown)
    if not found.healthy:
        raise typer.Exit(ToolMissingError.exit_code)
