"""Score saliency models and the trivial baselines on dev_eval: objects, fixations, cost and CPU time.

    python scripts/evaluate_saliency.py --data DIR [--size 256x144]... [--json FILE] [--no-timing] MODEL.onnx...

DIR holds dev_eval.tar or dev_eval_pack/. Without --size a model is scored at the size in its metadata, or else 256x256.
A frame is squashed to the size as a whole, and its map is scored at the size that the truth is stored at.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from saliency_training.devset import evaluate, load_dev_set
from saliency_training.predictors import OnnxPredictor, Predictor, centre_gaussian, spectral_residual

_BASELINES: dict[str, Predictor] = {"centre Gaussian": centre_gaussian, "spectral residual": spectral_residual}
_FALLBACK_SIZE = (256, 256)
_COLUMNS = [("DUTS", k) for k in ("mae", "max_f", "iou")] + [("DAVIS", k) for k in ("mae", "max_f", "iou")]
_COLUMNS += [("OSIE", k) for k in ("cc", "nss", "kl", "sim")]


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    return int(match[1]), int(match[2])


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="dev_eval: MAE and KL lower is better, all else higher", title_justify="left")
    for head in ("model", "size"):
        table.add_column(head)
    for group, metric in _COLUMNS:
        table.add_column(f"{group}\n{metric}", justify="right")
    for head in ("GFLOP\na frame", "ms, 1\nthread", "ms, 2\nthreads"):
        table.add_column(head, justify="right")
    for row in rows:
        scores = [f"{row['scores'][group][metric]:.3f}" for group, metric in _COLUMNS]
        cost = [f"{row[key]:.2f}" if key in row else "" for key in ("gflop", "ms_1_thread", "ms_2_threads")]
        table.add_row(row["model"], row["size"], *scores, *cost)
    return table


def main() -> None:
    """Parse, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL.onnx")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=_size, action="append", metavar="WxH", help="model input; repeatable")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--no-timing", action="store_true", help="leave the CPU milliseconds out")
    parser.add_argument("--no-baselines", action="store_true")
    args = parser.parse_args()

    dev = load_dev_set(args.data)
    rows: list[dict[str, Any]] = []
    for name, baseline in {} if args.no_baselines else _BASELINES.items():
        size = (args.size or [_FALLBACK_SIZE])[0]
        rows.append({"model": name, "size": "{}x{}".format(*size), "scores": evaluate(baseline, dev, size)})
    for path in args.models:
        model = OnnxPredictor(path)
        for size in args.size or [model.default_size or _FALLBACK_SIZE]:
            row: dict[str, Any] = {"model": path.stem, "size": "{}x{}".format(*size)}
            row |= {"scores": evaluate(model, dev, size), "gflop": model.gflop(size)}
            if not args.no_timing:
                row |= {"ms_1_thread": model.milliseconds(size, 1), "ms_2_threads": model.milliseconds(size, 2)}
            rows.append(row)
    if args.json:
        args.json.write_text(json.dumps({"set": "dev_eval", "rows": rows}, indent=2) + "\n")
    console = Console()
    # Off a terminal rich would fold the table into 80 columns.
    Console(width=max(console.width, 190)).print(_table(rows))


if __name__ == "__main__":
    main()
