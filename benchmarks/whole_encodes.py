"""Encodes whole clips, ours and plainly, and scores them at their own size, for the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpu_saliency.compare.plain import Plainly
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.progress import Observer
from gpu_saliency.score.graph import Measured
from gpu_saliency.score.metric import Metric
from gpu_saliency.score.pair import make_pair
from gpu_saliency.score.tools import choose_ffmpeg
from gpu_saliency.score.views import View, views_of
from gpu_saliency.score.whole import run_pass
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

PRESET = "medium"
PRESETS = {"libaom-av1": "6", "libsvtav1": "8", "libvvenc": "faster"}
"""Of encoders whose presets have other names."""


def encode_whole(job: EncodeJob, plan: RoiPlan, quality: float, folder: Path, *, plain: bool) -> Path:
    """Encode the clip of ``job`` at a base quality, with ``plan`` or as a plain encode that takes the same path."""
    output = folder / f"{'plain' if plain else 'ours'}{job.spec.part_suffix}"
    output.unlink(missing_ok=True)
    own = replace(job, crf=quality)
    run_saliency_encode(replace(own, channel=Plainly(job.channel)) if plain else own, plan, output)
    return output


def native_metrics(
    reference: Clip,
    encode: Path,
    *,
    filters: tuple[str, ...] = ("psnr",),
    vmaf: Sequence[str] = ("vmaf", "vmaf_neg"),
    cambi: bool = True,
    frames: int = 0,
) -> dict[str, Metric]:
    """Metrics at the clip's own size, as ``score`` measures them: of ``filters``, the VMAF models named, and CAMBI.

    ``frames`` compares only so many; 0 compares all.
    """
    pair = make_pair(reference, probe_clip(encode))
    native: View = next(v for v in views_of(reference.width, reference.height, reference.frame_rate) if v.name == "native")
    views = (replace(native, models={name: native.models[name] for name in vmaf}, cambi=cambi),) if vmaf or cambi else ()
    ffmpeg, missing = choose_ffmpeg(DEFAULT_FFMPEG, views)
    assert not missing, missing
    with Observer().stage("comparing") as advance:
        return run_pass(ffmpeg, pair, Measured(filters, views, ()), frames, None, advance).metrics
