"""Measures BD-rate weighted by recorded gaze, and of the whole frame, on photographs with eye fixations, panned.

    python benchmarks/gaze.py --data DIR [--plan PLAN]... [--pictures N] [--encoder libx264] [--crf 24,30,36,42]
        [--model ONNX] [--gaze-model ONNX] [--results FILE.jsonl]

DIR is dev_eval_pack/ (images/, masks/, index.csv). Each photograph with recorded gaze becomes a clip of 24 frames that pans one
pixel a frame. It is analysed, planned, encoded by the product's own path at each base quality, and compared with a plain encode.
Weighted PSNR: the squared luma error times the recorded gaze density, whose mean is 1 in each window. BD-rate by monotone cubics
for each picture; the table gives mean and standard error over the pictures. The plan never sees the recorded gaze.

PLAN, repeatable:
  balanced:-3, symmetric:-6      a mapping with its offset, from --model
  attention:BETA[:LIMIT]         from --gaze-model, with the curve in its metadata; LIMIT is the largest offset
  attention-s:BETA[:LIMIT]       the same curve for models without a gaze map
  recorded:BETA                  from the recorded gaze itself: the limit of what a model can reach

Results are appended to FILE.jsonl as they are found; a rerun measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from attention_plan import GazeModel, attention_plan
from numpy.typing import NDArray
from panned import FRAMES, Panned, load_panned
from rate_distortion import Plainly, bd_rate
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.grid import block_mean
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.policy import MAX_OFFSET, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.block_error import match_format
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.planes import luma
from gpu_saliency.source.probe import probe_clip

PLAIN = "plain"
DEFAULT_PLANS = ("balanced:-3",)
_RECORDED_FLOOR = 0.07
"""Least attention of `recorded`; the density is 0 over most of a picture."""


@dataclass(frozen=True, slots=True)
class GazePoint:
    """Size and quality of one encode."""

    quality: float
    video_bytes: int
    gaze_db: float
    """Luma PSNR weighted by recorded gaze."""
    frame_db: float
    """Luma PSNR of the whole frame."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One picture, encoded by one plan."""

    picture: str
    plan: str
    settings: str
    """Encoder, preset, base qualities and models: rows of other settings are not reused."""
    points: list[GazePoint]


def weighted_psnr(source: Clip, encode: Path, weights: NDArray[np.float32]) -> tuple[float, float]:
    """Luma PSNR in dB weighted by ``weights`` ``[frames, height, width]`` of mean 1, and unweighted."""
    weighted = whole = 0.0
    clips = (source, probe_clip(encode))
    streams = (decode_frames(clip, DecodeTally()) for clip in clips)
    for (a, b), weight in zip(zip(*streams, strict=True), weights, strict=True):
        peak = 2 ** b.format.components[0].bits - 1
        square = (luma(match_format(a, b)).astype(np.float64) - luma(b)) ** 2 / peak**2
        weighted += float((square * weight).mean())
        whole += float(square.mean())
    return tuple(-10 * float(np.log10(error / len(weights))) for error in (weighted, whole))  # type: ignore[return-value]


def plans_of(job: EncodeJob, panned: Panned, names: list[str], options: argparse.Namespace) -> dict[str, RoiPlan]:
    """The asked plans of the clip of ``job``; the analysis runs once."""
    clip = job.clip
    settings = AnalysisSettings(model=options.model)
    sidecar, _ = load_saliency_sidecar(clip, settings)
    size = (clip.width, clip.height)
    gaze = None
    found = {}
    for name in names:
        kind, *numbers = name.split(":")
        if kind == "recorded":
            density = block_mean(panned.weights().mean(axis=0), *size)
            curve = AttentionCurve(((1e-3, 1e-3), (1.0, 1.0)), ((1e-3, 1e-3), (1.0, 1.0)), floor=_RECORDED_FLOOR / density.max())
            maps = np.repeat(density[None] / density.max(), len(sidecar.track.sample_frame), axis=0)
            found[name] = attention_plan(sidecar.track, maps, size, curve, float(numbers[0]))
        elif kind.startswith("attention"):
            if kind == "attention" and gaze is None:
                gaze = options.gaze_model.gaze(clip, settings.sampling(clip))
            limit = float(numbers[1]) if len(numbers) > 1 else MAX_OFFSET
            maps_or_none = gaze if kind == "attention" else None
            found[name] = attention_plan(sidecar.track, maps_or_none, size, options.gaze_model.curve, float(numbers[0]), limit)
        else:
            found[name] = job.plan(sidecar, RoiPolicy(int(numbers[0]), mapping=kind))
    return found


def measure(panned: Panned, names: list[str], options: argparse.Namespace) -> Iterator[Measured]:
    """Encode one picture plainly (where ``names`` has `PLAIN`) and with each plan."""
    with tempfile.TemporaryDirectory() as folder:
        clip = probe_clip(panned.write(Path(folder, "source.mkv")))
        job = prepare_encode(clip, EncodeSettings(options.encoder, options.preset, audio=False))
        weights = panned.weights()
        plans = plans_of(job, panned, [name for name in names if name != PLAIN] or list(DEFAULT_PLANS), options)
        for name in names:
            points = []
            for quality in options.crf:
                output = Path(folder, "out" + job.spec.part_suffix)
                own = replace(job, crf=quality)
                # A plain encode takes the same path, with a channel that delivers no plan.
                own = replace(own, channel=Plainly(job.channel)) if name == PLAIN else own
                plan = next(iter(plans.values())) if name == PLAIN else plans[name]
                run_saliency_encode(own, plan, output)
                points.append(GazePoint(quality, video_bytes(output, panned.frames), *weighted_psnr(clip, output, weights)))
            yield Measured(panned.name, name, settings_key(options), points)


def settings_key(options: argparse.Namespace) -> str:
    """What two rows must share to be compared."""
    models = f"{options.model.name}, {options.gaze_model_path.name if options.gaze_model_path else '-'}"
    return f"{options.encoder} {options.preset or 'default'}, {options.crf}, {options.frames} frames, {models}"


def load(path: Path | None, key: str) -> dict[tuple[str, str], Measured]:
    """Rows of earlier runs with the same settings."""
    rows: dict[tuple[str, str], Measured] = {}
    for line in path.read_text().splitlines() if path is not None and path.exists() else []:
        row = json.loads(line)
        if row["settings"] == key:
            points = [GazePoint(**point) for point in row["points"]]
            rows[row["picture"], row["plan"]] = Measured(row["picture"], row["plan"], key, points)
    return rows


def run(options: argparse.Namespace) -> dict[tuple[str, str], Measured]:
    rows = load(options.results, settings_key(options))
    pictures = load_panned(options.data, options.pictures, options.frames)
    for panned in track(pictures, console=Console(stderr=True), description="pictures"):
        missing = [name for name in (PLAIN, *options.plan) if (panned.name, name) not in rows]
        for row in measure(panned, missing, options) if missing else ():
            rows[row.picture, row.plan] = row
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
    names = {panned.name for panned in pictures}
    return {key: row for key, row in rows.items() if key[0] in names}


def summary(rows: dict[tuple[str, str], Measured], plan: str) -> dict[str, tuple[float, float]]:
    """Mean and standard error over the pictures, in per cent: BD-rates, and the size at equal base quality."""
    values = []
    for (picture, name), row in rows.items():
        if name == plan:
            plain = rows[picture, PLAIN].points
            sizes = [100 * (b.video_bytes / a.video_bytes - 1) for a, b in zip(plain, row.points, strict=True)]
            values.append((bd_rate(plain, row.points, "gaze_db"), bd_rate(plain, row.points, "frame_db"), float(np.mean(sizes))))
    table = np.array(values)
    error = table.std(axis=0, ddof=1) / len(table) ** 0.5 if len(table) > 1 else np.full(3, np.nan)
    return {name: (float(table[:, i].mean()), float(error[i])) for i, name in enumerate(("gaze", "frame", "size"))}


def show(rows: dict[tuple[str, str], Measured], options: argparse.Namespace, console: Console) -> None:
    pictures = len({picture for picture, _ in rows})
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    table = Table(title=f"{settings_key(options)}; {pictures} pictures; {date.today()}, {machine}", title_justify="left")
    for head in ("plan", "gaze-weighted BD-rate %", "whole-frame BD-rate %", "size at equal quality %"):
        table.add_column(head, justify="left" if head == "plan" else "right")
    for plan in options.plan:
        table.add_row(plan, *(f"{mean:+.1f} ± {error:.1f}" for mean, error in summary(rows, plan).values()))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plan", action="append", metavar="PLAN")
    parser.add_argument("--pictures", type=int, help="the first N photographs; all by default")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--encoder", default="libx264")
    parser.add_argument("--preset")
    parser.add_argument("--crf", type=lambda text: tuple(map(float, text.split(","))), default=(24.0, 30.0, 36.0, 42.0))
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--gaze-model", type=Path, dest="gaze_model_path", help="file with a gaze map and a curve, for attention")
    parser.add_argument("--results", type=Path, help="JSON Lines; holds earlier results, new ones are appended")
    options = parser.parse_args()
    options.plan = options.plan or list(DEFAULT_PLANS)
    if any(plan.startswith("attention") for plan in options.plan) and options.gaze_model_path is None:
        parser.error("--plan attention: needs --gaze-model (a file made by publish_gaze.py and fit_attention.py)")
    options.gaze_model = GazeModel(options.gaze_model_path) if options.gaze_model_path else None
    show(run(options), options, Console(width=130))


if __name__ == "__main__":
    main()
