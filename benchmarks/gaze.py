"""Measures BD-rate weighted by recorded gaze, and of the whole frame, on photographs with eye fixations, panned.

    python benchmarks/gaze.py --data DIR [--plan PLAN]... [--pictures N] [--encoder libx264] [--crf 24,30,36,42]
        [--model ONNX] [--curves EVEN.json ODD.json] [--results FILE.jsonl] [--json OUT]

DIR is dev_eval_pack/ (images/, masks/, index.csv). Each photograph with recorded gaze becomes a clip of 24 frames that pans one
pixel a frame. It is analysed, planned and encoded by the product's own path at each base quality, and compared with a plain encode.
Weighted PSNR: the squared luma error times the recorded gaze density, whose mean is 1 in each window. BD-rate by monotone cubics
for each picture; the table gives mean and standard error over the pictures. No plan but ``recorded`` sees the recorded gaze.

PLAN, repeatable:
  MAPPING:OFFSET[:LIMIT]       such as attention:-3, attention:-4:6, balanced:-6; LIMIT is --max-background-offset
  saliency:OFFSET[:LIMIT]      the mapping attention without the gaze map, as for models with one output
  recorded:OFFSET[:LIMIT]      the mapping attention from the recorded gaze itself: the limit of what a model can reach

``--curves``: the attention curve for pictures 0, 2, 4... and that for 1, 3, 5..., each fitted to the others
(scripts/training/fit_attention.py --half), so that no picture is judged by a curve that it helped to fit.
Results are appended to FILE.jsonl as they are found; a rerun measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from facts import about_run, machine
from panned import FRAMES, Panned, load_panned
from rate_distortion import bd_rate, weighted_psnr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import encode_gaze
from gpu_saliency.compare.plain import Plainly
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.grid import block_mean
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.policy import DEFAULT_MAX_BACKGROUND_OFFSET, MAPPINGS, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.source.probe import probe_clip

PLAIN = "plain"
DEFAULT_PLANS = ("attention:-3", "saliency:-3", "balanced:-3")
_RECORDED = AttentionCurve(gaze=((1e-4, 2e-3), (1.0, 20.0)), saliency=((1e-4, 2e-3), (1.0, 20.0)), floor=0.2, beta=0.5)
"""Curve of `recorded`: the density is scaled to 1 = twenty times the mean."""


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
    """Encoder, preset, base qualities, model and curve: rows of other settings are not reused."""
    points: list[GazePoint]


def plan_of(job: EncodeJob, sidecar: Sidecar, panned: Panned, name: str) -> RoiPlan:
    """The plan that ``name`` asks for."""
    kind, offset, *limit = name.split(":")
    mapping = kind if kind in MAPPINGS else "attention"
    policy = RoiPolicy(int(offset), mapping, max_background_offset=float(limit[0]) if limit else DEFAULT_MAX_BACKGROUND_OFFSET)
    own = sidecar.track
    if kind == "saliency":
        own = replace(own, gaze=None, reducer=None)
    elif kind == "recorded":
        density = block_mean(panned.weights().mean(axis=0), job.clip.width, job.clip.height)
        maps = np.repeat(encode_gaze(np.clip(density / 20, 0, 1))[None], len(own.sample_frame), axis=0)
        own = replace(own, gaze=maps, attention=_RECORDED, reducer=None)
    return job.plan(replace(sidecar, track=own), policy)


def measure(panned: Panned, names: list[str], curve: AttentionCurve | None, options: argparse.Namespace) -> Iterator[Measured]:
    """Encode one picture plainly (where ``names`` has `PLAIN`) and with each plan; ``curve`` replaces the model's."""
    with tempfile.TemporaryDirectory() as folder:
        clip = probe_clip(panned.write(Path(folder, "source.mkv")))
        job = prepare_encode(clip, EncodeSettings(options.encoder, options.preset, audio=False))
        weights = panned.weights()
        sidecar, _ = load_saliency_sidecar(clip, AnalysisSettings(model=options.model))
        if curve is not None:
            sidecar = replace(sidecar, track=replace(sidecar.track, attention=curve))
        for name in names:
            # A plain encode takes the same path, with a channel that delivers no plan.
            plan = plan_of(job, sidecar, panned, "balanced:0" if name == PLAIN else name)
            points = []
            for quality in options.crf:
                output = Path(folder, "out" + job.spec.part_suffix)
                own = replace(job, crf=quality)
                run_saliency_encode(replace(own, channel=Plainly(job.channel)) if name == PLAIN else own, plan, output)
                points.append(GazePoint(quality, video_bytes(output, panned.frames), *weighted_psnr(clip, output, weights)))
            yield Measured(panned.name, name, settings_key(options), points)


def settings_key(options: argparse.Namespace) -> str:
    """What two rows must share to be compared."""
    curves = ", ".join(path.name for path in options.curves) if options.curves else "its own curve"
    return (
        f"{options.encoder} {options.preset or 'default'}, {options.crf}, {options.frames} frames, {options.model.stem}, {curves}"
    )


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
    curves = [AttentionCurve.parse(path.read_text()) for path in options.curves] if options.curves else [None]
    for i, panned in enumerate(track(pictures, console=Console(stderr=True), description="pictures")):
        missing = [name for name in (PLAIN, *options.plan) if (panned.name, name) not in rows]
        for row in measure(panned, missing, curves[i % len(curves)], options) if missing else ():
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
    table = Table(title=f"{settings_key(options)}; {pictures} pictures; {machine()}", title_justify="left")
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
    parser.add_argument("--curves", type=Path, nargs=2, metavar="JSON", help="curves for even and odd pictures")
    parser.add_argument("--results", type=Path, help="JSON Lines; holds earlier results, new ones are appended")
    parser.add_argument("--json", type=Path, help="mean and standard error of each plan")
    options = parser.parse_args()
    options.plan = options.plan or list(DEFAULT_PLANS)
    rows = run(options)
    show(rows, options, Console(width=130))
    if options.json:
        pictures = sorted({picture for picture, _ in rows})
        plans = {plan: {name: list(pair) for name, pair in summary(rows, plan).items()} for plan in options.plan}
        facts = about_run() | {"settings": settings_key(options), "pictures": pictures, "plans": plans}
        options.json.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
