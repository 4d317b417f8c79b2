"""VMAF v1 of an encoded part of a clip, by the same pass of ffmpeg as `score_encode`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gpu_saliency.encode.arguments import frames_filter, start_arguments
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, Ffmpeg
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.run import seek_time
from gpu_saliency.errors import SourceError, ToolMissingError, UsageError
from gpu_saliency.progress import Advance
from gpu_saliency.score.graph import Measured
from gpu_saliency.score.pair import make_pair
from gpu_saliency.score.tools import choose_ffmpeg
from gpu_saliency.score.views import View, views_of
from gpu_saliency.score.whole import run_pass
from gpu_saliency.source.probe import probe_clip

METRIC = "vmaf"
"""The name in a `Score` of the number that trials measure."""


@dataclass(frozen=True, slots=True)
class VmafTool:
    """The ffmpeg and the model that score trials. Produced by `choose_vmaf`."""

    ffmpeg: Ffmpeg
    view: View

    @property
    def model(self) -> str:
        return self.view.models[METRIC]

    def score(self, job: EncodeJob, part: Part, encoded: Path, advance: Advance, *, lead: int = 0) -> float:
        """Mean VMAF over the frames of ``part``, which come after ``lead`` others in the file ``encoded``. Raises `SourceError`."""
        # The part is compared as coded; only the joined file gets the source's rotation.
        reference = replace(job.clip, rotation=0, mirrored=False)
        distorted = replace(probe_clip(encoded), rotation=0, mirrored=False, frame_rate=job.shaped.frame_rate)
        shown = replace(job.shaped, rotation=0, mirrored=False)
        pair = replace(make_pair(shown, distorted), reference=reference, skip=lead)
        measured = Measured((), (self.view,), ())
        seek = seek_time(job, part)
        if seek is not None:
            cut = replace(pair, arguments=tuple(start_arguments(job, seek)), cut=_frames(job, part, seek))
            try:
                return run_pass(self.ffmpeg, cut, measured, part.frames, None, advance).metrics[METRIC].pooled
            except SourceError:
                pass  # As in `encode_part`: where a seek finds other frames, the clip is decoded from its start.
        cut = replace(pair, arguments=tuple(start_arguments(job, None)), cut=_frames(job, part, None))
        return run_pass(self.ffmpeg, cut, measured, part.frames, None, advance).metrics[METRIC].pooled


def _frames(job: EncodeJob, part: Part, seek: float | None) -> str:
    """The filters that make the reference of an encoded ``part``: its frames, in the output's shape."""
    return ",".join(filter(None, (frames_filter(job, part, seek=seek), job.shape.picture_filters(job.clip))))


def choose_vmaf(job: EncodeJob, asked_by: str, value: object) -> VmafTool:
    """Choose what scores trials: the ffmpeg of the encode if it has the model, else any that has it.

    The setting ``asked_by`` with its ``value`` needs the score; errors name it. Raises `UsageError` for a picture that is too
    small, or `ToolMissingError`.
    """
    clip = job.shaped
    near = views_of(clip.width, clip.height, clip.frame_rate)[0]
    view = replace(near, models={METRIC: near.models[METRIC]}, cambi=False)
    small = view.too_small().get(METRIC)
    if small is not None:
        raise UsageError(f"needs VMAF: {small}", setting=asked_by, value=value, cure="leave it out, or use a larger picture")
    for wanted in (job.ffmpeg.path, DEFAULT_FFMPEG):
        ffmpeg, missing = choose_ffmpeg(wanted, (view,))
        if METRIC not in missing:
            return VmafTool(ffmpeg, view)
    cure = "install an ffmpeg with libvmaf 3.1 or later, or pip install imageio-ffmpeg"
    raise ToolMissingError(f"needs VMAF: {missing[METRIC]}", setting=asked_by, value=value, cure=cure)
