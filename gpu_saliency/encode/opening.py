"""`try_encoder`: encodes one black frame, so that an encoder that cannot be opened is found before the analysis."""

from __future__ import annotations

import os
import re

from gpu_saliency.encode.arguments import encoder_arguments, y4m_arguments
from gpu_saliency.encode.channels.base import Delivery
from gpu_saliency.encode.ffmpeg import run_ffmpeg
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.piped import run_piped
from gpu_saliency.encode.workers import OnFrame, Processes
from gpu_saliency.errors import EncodeError, ToolMissingError, setting

# Lines of ffmpeg for an encoder that refuses its settings, its size or this machine. Other failures are the encode's to report.
_NOT_OPENED = re.compile(
    r"open(ing)? encoder|device creation failed|applying encoder options|initializing output stream", re.IGNORECASE
)


def try_encoder(job: EncodeJob, on_frame: OnFrame | None = None, processes: Processes | None = None) -> None:
    """Open the encoder of ``job`` with its settings and size. Raises `ToolMissingError` with ffmpeg's reason if that fails.

    For 720p it takes 0.1 s with libx264 and 0.4 s with libx265, on two busy cores. Raises `UsageError` for a parameter that an
    encoder outside of ffmpeg does not know.
    """
    plain = Delivery() if job.channel is None else job.channel.deliver_plain(job, job.crf)
    try:
        if plain.program:
            command = [*_one_frame(job), *y4m_arguments(job)]
            run_piped(command, (*plain.program, os.devnull), on_frame, processes)
            return
        run_ffmpeg(trial_command(job), on_frame, processes=processes)
    except EncodeError as error:
        if not any(_NOT_OPENED.search(word) for word in error.evidence.get("ffmpeg_last_words", ())):
            return
        reason = error.problem.partition(": ")[2] or error.problem
        cure = f"check the settings of the encoder, or use another {setting('encoder')}"
        raise ToolMissingError(f"{job.encoder} cannot be opened: {reason}", cure=cure, evidence=error.evidence) from error


def trial_command(job: EncodeJob) -> list[str]:
    """Build the command that encodes one frame of the clip's size, rate and pixel format, and keeps nothing."""
    filters = ["-vf", job.spec.last_filters] if job.spec.last_filters else []
    return [*_one_frame(job), *filters, *encoder_arguments(job, job.crf, job.params), "-f", "null", "-"]


def _one_frame(job: EncodeJob) -> list[str]:
    clip = job.shaped
    source = f"color=c=black:s={clip.width}x{clip.height}:r={clip.frame_rate},format={job.pix_fmt}"
    command = [job.ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "warning", "-nostats", *job.spec.global_arguments]
    return [*command, "-f", "lavfi", "-i", source, "-frames:v", "1", "-an"]
