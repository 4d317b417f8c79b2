"""Calibrates how far a channel must shift the base quality to keep the size: the constants in gpu_saliency/encode/channels.

    python benchmarks/quality_shift.py --clips DIR [--channel prefilter] [--encoders libsvtav1,...] [--frames 48]
        [--offsets=-1,-3,-6] [--plans truth,model] [--background fast] [--json OUT]

For each encoder, clip, base quality and offset it measures the size of a plain encode and of ROI encodes at the same quality and
at 3 steps better. Interpolating the logarithm of the size gives the quality at which the sizes are equal. The plans come from
the true masks and from the default model. Printed for each encoder: the constants that best fit ``shift = -k * strength**p *
share``, and the size errors that remain. For the prefilter, ``strength`` is the most change of a sample and
``share`` the share of the bits in filtered areas; for SVT-AV1's map, ``strength`` is the mean offset and ``share`` is 1.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from davis import davis_clips, masks_of, object_blocks, with_truth
from rich.console import Console
from rich.progress import track

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.channels.background import BACKGROUNDS
from gpu_saliency.encode.channels.base import Channel
from gpu_saliency.encode.channels.mask import filtered_share
from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.channels.strengths import strength_of
from gpu_saliency.encode.channels.svtav1_map import SvtAv1Map, best_offset, mean_delta
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import encode_part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.source.probe import probe_clip

QUALITIES = {
    "libx264": ("veryfast", (23, 32)),
    "libx265": ("veryfast", (28, 36)),
    "libsvtav1": ("8", (30, 45)),
    "libaom-av1": ("6", (28, 40)),
    "libvvenc": ("faster", (27, 34)),
    "libvpx-vp9": ("5", (28, 40)),
}
STEPS = 3


class UnshiftedPrefilter(Prefilter):
    """The prefilter without its shift of the base quality."""

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        return 0.0


class UnshiftedMap(SvtAv1Map):
    """SVT-AV1's map without its shift of the base quality."""

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        return 0.0


CHANNELS: dict[str, Channel] = {"prefilter": UnshiftedPrefilter(), "svtav1-map": UnshiftedMap()}


@dataclass(frozen=True)
class Point:
    """One measurement; ``strength`` and ``share`` as in the module's description."""

    encoder: str
    clip: str
    quality: float
    offset: float
    strength: float
    share: float
    size_ratio: float
    """Size of the ROI encode by that of the plain encode, at the same quality."""
    slope: float
    """Change of the logarithm of the ROI encode's size per step of quality."""
    shift: float
    """Steps of quality to add to reach the plain encode's size; negative is better quality."""


def measure(job: EncodeJob, plans: list[RoiPlan], frames: int, clip: str) -> list[Point]:
    """Measure one point for each of ``plans``."""

    def size(plan: RoiPlan | None, quality: float) -> int:
        with tempfile.TemporaryDirectory() as folder:
            part = encode_part(replace(job, crf=quality), plan, Part(0, frames), Path(folder))
            return video_bytes(part, frames)

    assert job.crf is not None
    plain = size(None, job.crf)
    points = []
    for plan in plans:
        same, better = size(plan, job.crf), size(plan, job.crf - STEPS)
        slope = (math.log(same) - math.log(better)) / STEPS
        shift = math.log(plain / same) / slope
        excerpt = plan.between(0, frames)
        if isinstance(job.channel, SvtAv1Map):
            strength, share = mean_delta(excerpt, best_offset(plan)), 1.0
        else:
            strength, share = strength_of(job.encoder).amount(plan.policy.offset), filtered_share(excerpt)
        points.append(Point(job.spec.name, clip, job.crf, plan.policy.offset, strength, share, same / plain, slope, shift))
    return points


def fit(points: list[Point]) -> tuple[float, float]:
    """Fit ``k`` and ``p`` of ``-shift = k * strength**p * share`` by least squares over a grid of powers."""
    best = (math.inf, 0.0, 0.0)
    shift, strength, share = (np.array([getattr(point, name) for point in points]) for name in ("shift", "strength", "share"))
    for power in np.arange(0.3, 2.01, 0.05):
        x = strength**power * share
        k = float((x @ -shift) / (x @ x))
        best = min(best, (float(((-shift - k * x) ** 2).sum()), k, float(power)))
    return best[1], best[2]


def size_errors(points: list[Point], k: float, power: float) -> list[float]:
    """Size error of each file relative to the plain encode with the fitted shift, per cent."""
    return [100 * (p.size_ratio * math.exp(p.slope * -k * p.strength**power * p.share) - 1) for p in points]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--channel", choices=CHANNELS, default="prefilter")
    parser.add_argument("--encoders", default=",".join(QUALITIES))
    parser.add_argument("--offsets", default="-1,-3,-6")
    parser.add_argument("--plans", type=lambda text: text.split(","), default=["truth", "model"])
    parser.add_argument("--background", choices=BACKGROUNDS)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, points = Console(width=130), []
    for encoder in options.encoders.split(","):
        preset, qualities = QUALITIES[encoder]
        own: list[Point] = []
        for path in track(davis_clips(options.clips), console=Console(stderr=True), description=encoder):
            clip = probe_clip(path)
            sidecar, _ = load_saliency_sidecar(clip)
            truth = with_truth(sidecar, object_blocks(masks_of(path), clip))
            sidecars = {"truth": truth, "model": sidecar}
            policies = [RoiPolicy(int(offset)) for offset in options.offsets.split(",")]
            plans = [build_roi_plan(sidecars[name], policy, per_map=True) for name in options.plans for policy in policies]
            for quality in qualities:
                settings = EncodeSettings(encoder, preset, quality, audio=False, roi_channel=options.channel)
                job = prepare_encode(clip, replace(settings, background=options.background))
                job = replace(job, channel=CHANNELS[options.channel]).timed_like(sidecar)
                own += measure(job, plans, min(options.frames, plans[0].frame_count), path.stem.removeprefix("davis_"))
        for p in own:
            console.print(
                f"{p.encoder} {p.clip} {p.quality:g} offset {p.offset} strength {p.strength:.2f} share {p.share:.2f}: "
                f"size {100 * (p.size_ratio - 1):+.1f} %, shift {p.shift:+.2f}"
            )
        k, power = fit(own)
        errors = size_errors(own, k, power)
        worst = max(errors, key=abs)
        console.print(
            f"{encoder}: k {k:.2f}, p {power:.2f}; size off by {np.mean(errors):+.1f} % on average, {worst:+.1f} % at worst"
        )
        points += own
    if options.json:
        options.json.write_text(json.dumps([asdict(point) for point in points], indent=1))


if __name__ == "__main__":
    main()
