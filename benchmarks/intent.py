"""What the intents of ``encode`` reach on whole clips: ``--target-vmaf``, and ``--saliency-offset auto`` against the fixed -3.

    python benchmarks/intent.py vmaf --clips FOLDER [--encoder libx264] [--target 90]
    python benchmarks/intent.py auto --clips FOLDER [--encoder libx264] [--crf 30]

``vmaf`` encodes each clip and then measures VMAF v1 of the whole file apart from the trials. ``auto`` compares, from its trials,
the whole frame's VMAF at the size of a plain encode and the modelled share of the bits for the most looked-at quarter, with the
strength found and with -3. ``--json FILE`` keeps the results of ``encode``, a line for each clip. FOLDER holds .mp4 files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gpu_saliency import EncodeRequest, EncodeResult, EncodeSettings, RoiPolicy, encode_clip, probe_clip
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.share import looked_at, share_of
from gpu_saliency.score.graph import Measured
from gpu_saliency.score.pair import make_pair
from gpu_saliency.score.tools import choose_ffmpeg
from gpu_saliency.score.views import views_of
from gpu_saliency.score.whole import run_pass
from gpu_saliency.trial import Intent
from gpu_saliency.trial.strength import Baseline

FIXED = -3.0


def whole_vmaf(reference: Path, distorted: Path) -> float:
    """The metric ``vmaf`` of `score_encode`, without the others."""
    pair = make_pair(probe_clip(reference), probe_clip(distorted))
    near = views_of(pair.reference.width, pair.reference.height, pair.reference.frame_rate)[0]
    view = replace(near, models={"vmaf": near.models["vmaf"]}, cambi=False)
    ffmpeg, _ = choose_ffmpeg(DEFAULT_FFMPEG, (view,))
    return run_pass(ffmpeg, pair, Measured((), (view,), ()), 0, None, lambda _done, _total: None).metrics["vmaf"].pooled


def row_vmaf(clip: Path, output: Path, result: EncodeResult, target: float) -> list[str]:
    report, seconds = result.intent, result.seconds
    assert report is not None
    tried = " ".join(f"{trial.crf:g}:{trial.vmaf:.2f}" for trial in report.trials)
    got = whole_vmaf(clip, output)
    sampled = "all" if report.whole_clip else str(report.frames)
    video = f"{report.video_bytes:,}"
    times = [f"{report.seconds:.0f}", f"{seconds.encode:.0f}"]
    assert report.vmaf is not None
    error = got - target
    return [clip.stem, sampled, tried, f"{report.crf:g}", f"{report.vmaf:.2f}", f"{got:.2f}", f"{error:+.2f}", video, *times]


def row_auto(clip: Path, result: EncodeResult) -> list[str]:
    report = result.intent
    assert report is not None
    assert report.offset is not None
    assert result.analysis is not None
    assert result.roi is not None
    plain = [trial for trial in report.trials if trial.offset is None]
    baseline = Baseline.of(plain[0], plain[1])
    gains = {trial.offset: baseline.gain(trial) for trial in report.trials if trial.offset is not None} | {0.0: 0.0}
    shares = {}
    for offset in (0.0, FIXED, report.offset):
        plan = build_roi_plan(result.analysis.sidecar, replace(result.roi.policy, offset=offset))
        shares[offset] = share_of(plan, looked_at(result.analysis.sidecar.track, plan))
    values = [f"{plain[0].vmaf:.2f}", f"{gains[FIXED]:+.2f}", f"{report.offset:+g}", f"{gains[report.offset]:+.2f}"]
    values += [f"{shares[0.0]:.1%}", f"{shares[FIXED]:.1%}", f"{shares[report.offset]:.1%}"]
    return [clip.stem, *values, str(len(report.trials)), f"{report.seconds:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("vmaf", "auto"))
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--encoder", default="libx264")
    parser.add_argument("--target", type=float, default=90.0)
    parser.add_argument("--crf", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    is_auto = given.what == "auto"
    heads = ("plain VMAF", "-3: VMAF", "auto", "auto: VMAF", "plain share", "-3: share", "auto: share", "trials", "s")
    if not is_auto:
        heads = ("frames", "trials (CRF:VMAF)", "CRF", "predicted", "whole", "error", "video bytes", "trials, s", "encode, s")
    table = Table("clip", *heads, title=f"{given.what} {given.encoder}")
    console = Console(width=180)
    for clip in sorted(given.clips.glob("*.mp4")):
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "out.mp4"
            request = EncodeRequest(
                probe_clip(clip),
                output,
                encode=EncodeSettings(encoder=given.encoder, crf=given.crf if is_auto else None),
                policy=RoiPolicy(),
                intent=Intent(auto_offset=True) if is_auto else Intent(target_vmaf=given.target),
                prove="none",
            )
            result = encode_clip(request)
            row = row_auto(clip, result) if is_auto else row_vmaf(clip, output, result, given.target)
        table.add_row(*row)
        console.print(*row, sep=" | ")
        if given.json is not None:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result.to_json()) + "\n")
    console.print(table)


if __name__ == "__main__":
    main()
