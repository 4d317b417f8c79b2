"""Joins two ONNX models: the objects of the first, the geometric mean of the gaze of both, the second at a smaller size.

    python scripts/training/join_models.py LARGE.onnx SMALL.onnx OUT.onnx --scale 0.615

Both have the outputs saliency_map and gaze_map (publish_gaze.py). The written file is compared with both on noise, then renamed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from saliency_training.gaze_output import GAZE, SALIENCY
from saliency_training.joined import join_gaze
from saliency_training.sessions import cpu_session

from gpu_saliency.files import publish

_SIZES = ((416, 240), (256, 144), (64, 48))
_BATCHES = (1, 3)
_ROUNDING = 1e-4


class JoinError(RuntimeError):
    """The written file's outputs are not those that its two sources explain."""


def join_files(large: Path, small: Path, output: Path, scale: float) -> None:
    """Write, verify, then rename to ``output``. Raises `JoinError` and `gaze_output.GazeOutputError`."""
    model = join_gaze(onnx.load(str(large)), onnx.load(str(small)), scale)
    version = {entry.key: entry.value for entry in model.metadata_props} | {"gpu_saliency.version": output.stem}
    onnx.helper.set_model_props(model, version)
    with publish(output) as temporary:
        onnx.save(model, str(temporary))
        onnx.checker.check_model(onnx.load(str(temporary)), full_check=True)
        _verify(large, temporary)


def _verify(large: Path, path: Path) -> None:
    """Where both say an object, the maps are equal; elsewhere they differ only by gaze."""
    before, after = cpu_session(large), cpu_session(path)
    rng = np.random.default_rng(0)
    for width, height in _SIZES:
        for batch in _BATCHES:
            feed = {"input": rng.standard_normal((batch, 3, height, width), np.float32)}
            old, own = before.run([SALIENCY, GAZE], feed)
            new, gaze = after.run([SALIENCY, GAZE], feed)
            if new.shape != old.shape or gaze.shape != old.shape or gaze.min() < 0 or gaze.max() > 1:
                raise JoinError(f"{path}: {new.shape} and {gaze.shape}, gaze in {gaze.min():g} .. {gaze.max():g}")
            # Objects and the ceiling are unknown here, but an object above both gaze maps decides both files.
            sure = old > np.maximum(own, gaze) + _ROUNDING
            if np.abs(new - old)[sure].max(initial=0) > _ROUNDING:
                raise JoinError(f"{path}: objects differ by {np.abs(new - old)[sure].max():g}")


def main() -> None:
    """Parse, join, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("large", type=Path)
    parser.add_argument("small", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scale", type=float, required=True, help="sides of the second model's input per side of the first's")
    args = parser.parse_args()
    if not 0 < args.scale < 1:
        parser.error(f"--scale {args.scale}: give a number above 0 and below 1")
    join_files(args.large, args.small, args.output, args.scale)
    print(f"{args.output}: {args.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
