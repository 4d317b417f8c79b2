"""Scores saliency models and two baselines: objects, gaze and calibration on dev_eval, flicker on clips, cost, CPU time.

    python scripts/training/evaluate_saliency.py --data DIR [--clips DIR] [--size 256x144]... [--json FILE]
        [--no-timing] MODEL.onnx...

DIR holds dev_eval.tar or dev_eval_pack/. Without --size a model is scored at the size in its metadata, or else at 256x256.
Each frame is scaled to that size, its aspect ignored, and its map is scored at the stored size of the truth. --size fit uses
about as many pixels as 256x144 in each frame's aspect and omits flicker and cost. MODEL.onnx:gaze_map scores that output.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from saliency_training.devset import DevSet, evaluate, load_dev_set
from saliency_training.flicker import clip_flicker
from saliency_training.predictors import OnnxPredictor, Predictor, centre_gaussian, spectral_residual

_BASELINES: dict[str, Predictor] = {"centre Gaussian": centre_gaussian, "spectral residual": spectral_residual}
_FALLBACK_SIZE = (256, 256)
_OBJECTS = ("mae", "max_f", "iou", "block_iou", "mean_map", "object_share", "excess_abs")
_GAZE = ("cc", "nss", "kl", "sim", "mean_map")
_COLUMNS = [(group, metric) for group in ("DUTS", "DAVIS") for metric in _OBJECTS] + [("OSIE", metric) for metric in _GAZE]
_COST = {"gflop": "GFLOP", "ms_1_thread": "ms, 1 thread", "ms_2_threads": "ms, 2 threads"}

_FIT = "fit"

Row = dict[str, Any]
Size = tuple[int, int] | None
"""(width, height), or ``None`` for `_FIT`."""


def _size(text: str) -> Size | str:
    if text == _FIT:
        return _FIT  # not None, which argparse takes for a missing value
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}: not a size (give WIDTHxHEIGHT or {_FIT})")
    return int(match[1]), int(match[2])


def score(name: str, predictor: Predictor, dev: DevSet, clips: list[Path], size: Size) -> Row:
    """Score ``predictor`` on the evaluation set and, with a fixed ``size``, its flicker on ``clips``."""
    row: Row = {"model": name, "size": "{}x{}".format(*size) if size else _FIT, "scores": evaluate(predictor, dev, size)}
    if clips and size:
        changes = {clip.stem: clip_flicker(predictor, clip, size) for clip in clips}
        row["flicker"] = float(np.mean([change.flicker for change in changes.values()]))
        row["flicker_by_clip"] = {clip: [change.flicker, change.followed] for clip, change in changes.items()}
    return row


def _table(rows: list[Row]) -> Table:
    """Table with one row per metric and one column per model, since a terminal has no room for all metrics in a row."""
    table = Table(title="dev_eval (MAE, KL, excess and flicker: lower is better)", title_justify="left")
    table.add_column("metric")
    for row in rows:
        table.add_column(f"{row['model']}\n{row['size']}", justify="right")

    def line(head: str, value: Callable[[Row], float | None], digits: int) -> None:
        table.add_row(head, *("" if (v := value(row)) is None else f"{v:.{digits}f}" for row in rows))

    for group, metric in _COLUMNS:
        line(f"{group} {metric}", lambda row, g=group, m=metric: row["scores"][g][m], 3)  # type: ignore[misc]
    line("flicker", lambda row: row.get("flicker"), 4)
    for key, head in _COST.items():
        line(head, lambda row, k=key: row.get(k), 2)  # type: ignore[misc]
    return table


def main() -> None:
    """Parse the arguments, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL.onnx[:OUTPUT]")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=Path, help="folder of .mp4 files for measuring flicker")
    parser.add_argument("--size", type=_size, action="append", metavar="WxH|fit", help="size of the model input; repeatable")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    parser.add_argument("--threads", type=int, default=2, help="threads of ONNX Runtime while scoring")
    parser.add_argument("--no-timing", action="store_true", help="do not measure CPU time")
    parser.add_argument("--no-baselines", action="store_true")
    args = parser.parse_args()

    dev = load_dev_set(args.data)
    clips = sorted(args.clips.glob("*.mp4")) if args.clips else []
    if args.clips and not clips:
        parser.error(f"--clips {args.clips}: no .mp4 file found (give a folder that holds some)")
    sizes: list[Size] = [None if size == _FIT else size for size in args.size or []]
    rows: list[Row] = []
    for name, baseline in {} if args.no_baselines else _BASELINES.items():
        rows.append(score(name, baseline, dev, clips, (sizes or [_FALLBACK_SIZE])[0]))
    for given in args.models:
        name, _, output = given.partition(":")
        path = Path(name)
        model = OnnxPredictor(path, args.threads, output or None)
        for size in sizes or [model.default_size or _FALLBACK_SIZE]:
            row = score(path.stem + (f" {output}" if output else ""), model, dev, clips, size)
            if size:
                row["gflop"] = model.gflop(size)
            if size and not args.no_timing:
                row |= {"ms_1_thread": model.milliseconds(size, 1), "ms_2_threads": model.milliseconds(size, 2)}
            rows.append(row)
    if args.json:
        args.json.write_text(json.dumps({"set": "dev_eval", "rows": rows}, indent=2) + "\n")
    console = Console()
    # Without a terminal rich would wrap the table at 80 columns.
    Console(width=max(console.width, 190)).print(_table(rows))


if __name__ == "__main__":
    main()
