"""What the stored precision of gaze costs: errors of a block's offset and bytes on disk, by scale of the code.

    python benchmarks/gaze_precision.py --data DIR [--json FILE] [MODEL ...]

DIR holds dev_eval.tar or dev_eval_pack/. Each OSIE photograph goes through the model at the product's input size; its gaze map is
averaged over the 16x16 blocks of a frame 480 pixels high and stored as a byte on each scale. The error is that of
``-3 * beta * log2(w)`` in QP, with the model's own curve, against float32 gaze. Size: all maps deflated, as in a sidecar.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_saliency.analysis.track import decode_gaze, encode_gaze
from gpu_saliency.grid import block_mean
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.model.shipped import SHIPPED_MODELS, find_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "training"))
from saliency_training.devset import load_dev_set

HEIGHT = 480
_LEAST = 1e-4
_STEPS = 255 / np.log2(1 / _LEAST)
Values = NDArray[np.float32]
Codes = NDArray[np.uint8]


def _encode_linear(values: Values) -> Codes:
    return np.asarray(np.rint(values * 255), np.uint8)


def _decode_linear(codes: Codes) -> Values:
    return np.asarray(codes / 255, np.float32)


def _encode_logarithmic(values: Values) -> Codes:
    return np.asarray(np.rint(_STEPS * np.log2(np.maximum(values, _LEAST) / _LEAST)), np.uint8)


def _decode_logarithmic(codes: Codes) -> Values:
    return np.asarray(_LEAST * np.exp2(codes / _STEPS), np.float32)


SCALES: dict[str, tuple[Callable[[Values], Codes], Callable[[Codes], Values]]] = {
    "linear": (_encode_linear, _decode_linear),
    "square root": (encode_gaze, decode_gaze),
    "logarithmic": (_encode_logarithmic, _decode_logarithmic),
}


def maps_of(model: SaliencyModel, data: Path) -> list[tuple[Values, Values]]:
    """Gaze and saliency of each photograph's blocks."""
    found = []
    for pair in load_dev_set(data).pairs["OSIE"]:
        image = Image.open(io.BytesIO(pair.image)).convert("RGB")
        size = model.input_size(image.width / image.height)
        maps = model(normalise(np.asarray(image.resize(size.content, Image.Resampling.BOX))[None], size.padded))
        assert maps.gaze is not None, "a model without a gaze map"
        frame = round(image.width / image.height * HEIGHT), HEIGHT
        inside = np.s_[0, : size.content[1], : size.content[0]]
        found.append((block_mean(maps.gaze[inside], *frame), block_mean(maps.saliency[inside], *frame)))
    return found


def precision_of(model: SaliencyModel, data: Path) -> dict[str, Any]:
    """The figures of one model by scale; prints them."""
    curve, maps = model.attention, maps_of(model, data)
    assert curve is not None, "a model without a curve"
    rows: dict[str, dict[str, float]] = {}
    for name, (encode, decode) in SCALES.items():
        codes = [encode(gaze) for gaze, _ in maps]
        errors = np.concatenate(
            [
                3 * curve.beta * np.log2(curve.weight(decode(code), saliency) / curve.weight(gaze, saliency)).ravel()
                for code, (gaze, saliency) in zip(codes, maps, strict=True)
            ]
        )
        rows[name] = {
            "rms_qp": round(float(np.sqrt(np.mean(errors**2))), 4),
            "p99_qp": round(float(np.percentile(np.abs(errors), 99)), 4),
            "max_qp": round(float(np.abs(errors).max()), 4),
            "deflated_bytes_per_block": round(sum(len(zlib.compress(code.tobytes())) for code in codes) / errors.size, 4),
        }
        print(model.path.stem, name, rows[name])
    return {"model": model.describe(), "photographs": len(maps), "scales": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("models", nargs="*", default=SHIPPED_MODELS, metavar="MODEL")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = [precision_of(SaliencyModel(find_model(name)), args.data) for name in args.models]
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
