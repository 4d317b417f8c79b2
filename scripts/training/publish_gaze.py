"""Publish the gaze map of a saliency model as its second output; the file is verified, then renamed.

    python scripts/training/publish_gaze.py gpu_saliency/models/saliency_fast_v3.onnx OUTPUT.onnx

Works on packed files (saliency_training/packing.py) and on those of export_onnx.py. ``saliency_map`` stays the first output and is
bit-identical on noise of several sizes; ``gaze_map`` must lie in 0..1 and ``saliency_map >= ceiling * gaze_map``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from saliency_training.gaze_output import GAZE, SALIENCY, publish_gaze
from saliency_training.sessions import cpu_session

from gpu_saliency.files import publish

_SIZES = ((256, 144), (192, 192), (176, 272))
_BATCHES = (1, 3)
_ROUNDING = 1e-6


class PublishError(RuntimeError):
    """The written file computes another saliency map than its source, or a gaze map that does not explain it."""


def publish_file(source: Path, output: Path) -> float:
    """Write ``source`` with the second output to ``output``; return the mean of the gaze map on noise."""
    model = onnx.load(str(source))
    ceiling = publish_gaze(model)
    with publish(output) as temporary:
        onnx.save(model, str(temporary))
        onnx.checker.check_model(onnx.load(str(temporary)), full_check=True)
        return _verify(source, temporary, ceiling)


def _verify(source: Path, path: Path, ceiling: float) -> float:
    before, after = cpu_session(source), cpu_session(path)
    if [value.name for value in after.get_outputs()] != [SALIENCY, GAZE]:
        raise PublishError(f"{path}: outputs {[value.name for value in after.get_outputs()]}")
    rng, means = np.random.default_rng(0), []
    for width, height in _SIZES:
        for batch in _BATCHES:
            feed = {before.get_inputs()[0].name: rng.standard_normal((batch, 3, height, width), np.float32)}
            expected = before.run([SALIENCY], feed)[0]
            saliency, gaze = after.run([SALIENCY, GAZE], feed)
            if not np.array_equal(saliency, expected):
                raise PublishError(f"{path}: {SALIENCY} differs by {np.abs(saliency - expected).max():.2g}")
            if gaze.shape != saliency.shape or gaze.min() < 0 or gaze.max() > 1:
                raise PublishError(f"{path}: {GAZE} of {gaze.shape} in {gaze.min():g} .. {gaze.max():g}")
            least = float((saliency - ceiling * gaze).min())
            if least < -_ROUNDING:
                raise PublishError(f"{path}: {SALIENCY} - {ceiling:g} * {GAZE} is {least:g} at least, below 0")
            means.append(float(gaze.mean()))
    return float(np.mean(means))


def main() -> None:
    """Parse, publish, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    publish_file(args.source, args.output)
    print(f"{args.output}: {args.output.stat().st_size} bytes, outputs {SALIENCY} (bit-identical) and {GAZE}")


if __name__ == "__main__":
    main()
