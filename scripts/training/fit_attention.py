"""Fit how much viewers look at a block, as a curve of what a model says of it, to recorded gaze.

    python scripts/training/fit_attention.py --data DIR MODEL.onnx [--write OUTPUT.onnx] [--half even|odd]
        [--object C] [--floor F] [--beta B]

DIR holds dev_eval.tar or dev_eval_pack/. Each photograph with recorded gaze goes through the model at the size that the product
uses; maps and density are averaged over 16x16 blocks as if the photograph were ``--height`` pixels high. The curve is the mean
density, in multiples of the photograph's mean, at a given map value: piecewise linear on logarithmic scales, rising, fitted by
maximum likelihood of a Poisson rate, whose mean is right even where the density scatters widely around the curve. One curve is
fitted for the gaze map (where the file has that output) and one for the saliency map.

Prints to stderr each curve with the fits of two halves of the photographs and a bootstrap interval over photographs, and to
stdout the JSON that ``--write`` adds to the model's metadata as ``gpu_saliency.attention`` (gpu_saliency/model/attention.py).
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from saliency_training.data import Pair
from saliency_training.devset import load_dev_set
from scipy.optimize import minimize

from gpu_saliency.files import publish
from gpu_saliency.grid import block_mean
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.onnx import normalise

KEY = "gpu_saliency.attention"
KNOTS = {"gaze_map": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 0.9), "saliency_map": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)}
"""Above 0.3 saliency says how surely there is an object, not how much it is looked at."""
BOOTSTRAPS = 200
Values = NDArray[np.float64]
_LEAST, _BINS = 1e-4, 400
Blocks = NDArray[np.float64]
"""``[2, bins]``, one photograph's blocks by map value, in `_BINS` logarithmic bins of 2.3 %: their share, and their gaze density
(mean 1) times that share."""


def blocks_of(session: ort.InferenceSession, output: str, pairs: Sequence[Pair], height: int) -> list[Blocks]:
    """Map and density of each photograph's blocks, as if it were ``height`` pixels high."""
    meta = session.get_modelmeta().custom_metadata_map
    multiple, wide, high = (int(meta[f"gpu_saliency.{key}"]) for key in ("size_multiple", "default_width", "default_height"))
    found = []
    for pair in pairs:
        image = Image.open(io.BytesIO(pair.image)).convert("RGB")
        density = np.asarray(Image.open(io.BytesIO(pair.truth)).convert("L"), np.float64)
        size = InputSize.fit(image.width / image.height, None, multiple, wide * high)
        pixels = np.asarray(image.resize(size.content, Image.Resampling.BOX))[None]
        maps = session.run([output], {session.get_inputs()[0].name: normalise(pixels, size.padded)})[0]
        frame = round(image.width / image.height * height), height
        own = block_mean(maps[0, 0, : size.content[1], : size.content[0]], *frame).ravel()
        looked = block_mean(density / density.mean(), *frame).ravel()
        number = np.rint(np.log(np.maximum(own, _LEAST) / _LEAST) / -np.log(_LEAST) * (_BINS - 1)).astype(np.intp)
        found.append(np.stack([np.bincount(number, weights, _BINS) for weights in (np.ones(len(own)), looked)]) / len(own))
    return found


def fit(blocks: Sequence[Blocks], knots: Sequence[float]) -> Values:
    """``w`` at each knot: the rising curve of greatest Poisson likelihood."""
    share, looked = np.mean(blocks, axis=0)
    edges = np.log(knots)
    at = np.clip(np.linspace(np.log(_LEAST), 0, _BINS), edges[0], edges[-1])
    mix = np.stack([np.interp(at, edges, one) for one in np.eye(len(edges))], axis=1)
    # Parameters: the logarithm of w at the first knot, then its rise from knot to knot.
    mix = mix @ np.tril(np.ones((len(edges), len(edges))))

    def loss(parameters: Values) -> tuple[float, Values]:
        logarithm = mix @ parameters
        rate = np.exp(logarithm)
        return float((rate * share - looked * logarithm).sum()), mix.T @ (rate * share - looked)

    start = np.r_[np.log(0.02), np.full(len(edges) - 1, 0.8)]
    limits = [(-9.0, 3.0)] + [(0.0, None)] * (len(edges) - 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 2000, "ftol": 1e-12})
    return np.asarray(np.exp(np.cumsum(found.x)))


def spread(blocks: Sequence[Blocks], knots: Sequence[float]) -> Values:
    """``[2, knots]``: 5th and 95th percentile of the curve over resamplings of the photographs."""
    rng = np.random.default_rng(0)
    curves = [fit([blocks[i] for i in rng.integers(0, len(blocks), len(blocks))], knots) for _ in range(BOOTSTRAPS)]
    return np.asarray(np.percentile(curves, (5, 95), axis=0))


def table_of(output: str, blocks: Sequence[Blocks], curve: Values) -> Table:
    knots = KNOTS[output]
    halves = [fit(blocks[start::2], knots) for start in (0, 1)]
    low, high = spread(blocks, knots)
    edges = (0.0, *np.sqrt(np.multiply(knots[1:], knots[:-1])), np.inf)
    share = np.histogram(np.geomspace(_LEAST, 1, _BINS), edges, weights=np.mean(blocks, axis=0)[0])[0]
    table = Table(title=f"{output}: gaze density (mean 1) of {len(blocks)} photographs", title_justify="left")
    for head in ("map value", "w", "half 1", "half 2", "5 %", "95 %", "share of blocks"):
        table.add_column(head, justify="right")
    columns = (curve, *halves, low, high, share)
    for knot, *row in zip(knots, *columns, strict=True):
        table.add_row(f"{knot:g}", *(f"{value:.3g}" for value in row))
    return table


def main() -> None:
    """Parse, fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--write", type=Path, metavar="ONNX", help="copy of the model with the curve in its metadata")
    parser.add_argument("--half", choices=("even", "odd"), help="fit to photographs 0, 2, 4... or 1, 3, 5... alone")
    parser.add_argument("--height", type=int, default=480, help="pixels of the frame that the 16x16 blocks divide")
    parser.add_argument("--object", type=float, default=6.0, help="added to w for each unit of saliency")
    parser.add_argument("--floor", type=float, default=0.2, help="least w")
    parser.add_argument("--beta", type=float, default=0.5, help="exponent at the nominal strength")
    args = parser.parse_args()
    session = ort.InferenceSession(str(args.model), providers=["CPUExecutionProvider"])
    pairs = load_dev_set(args.data).pairs["OSIE"][args.half == "odd" :: 2 if args.half else 1]
    curves: dict[str, tuple[tuple[float, float], ...]] = {}
    for output in session.get_outputs():
        blocks = blocks_of(session, output.name, pairs, args.height)
        curve = fit(blocks, KNOTS[output.name])
        curves[output.name] = tuple((knot, float(f"{w:.3g}")) for knot, w in zip(KNOTS[output.name], curve, strict=True))
        Console(width=130, stderr=True).print(table_of(output.name, blocks, curve))
    saliency = curves["saliency_map"]
    found = AttentionCurve(curves.get("gaze_map", saliency), saliency, args.object, args.floor, args.beta).to_json()
    print(json.dumps(found))
    if args.write:
        model = onnx.load(str(args.model))
        metadata = {entry.key: entry.value for entry in model.metadata_props} | {KEY: json.dumps(found)}
        onnx.helper.set_model_props(model, metadata)
        with publish(args.write) as temporary:
            onnx.save(model, str(temporary))


if __name__ == "__main__":
    main()
