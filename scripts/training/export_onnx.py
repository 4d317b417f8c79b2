"""Export a checkpoint's averaged weights as ONNX files with the project's contract; checked, then renamed.

    python scripts/training/export_onnx.py CHECKPOINT.pt gpu_saliency/models/saliency_student_v2.onnx [--fp16]

Input ``input`` float32 [N, 3, H, W], ImageNet-normalised R'G'B'; output ``saliency_map`` [N, 1, H, W] in 0..1; H and W
multiples of 16. ``--fp16`` also writes NAME_fp16.onnx: float32 at both ends, half precision within.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from saliency_training.network import SIZE_MULTIPLE
from saliency_training.networks import Network, build_network
from saliency_training.settings import Settings

OPSET = 17
DEFAULT_SIZE = (256, 144)
TOLERANCE = 1e-4
TOLERANCE_FP16 = 2e-2
"""Eleven bits through up to fifty layers, on noise."""
MAX_BYTES = 20_000_000
_CHECKED_SIZES = ((256, 144), (192, 192), (176, 272))
_CHECKED_BATCHES = (1, 3)


class ExportError(RuntimeError):
    """The written file does not do what the contract says."""


def load_average(checkpoint: Path, gaze_inside: float | None = None) -> tuple[Network, tuple[int, int]]:
    """The averaged network of a checkpoint written by train_saliency.py, in evaluation mode, and its default size.

    ``gaze_inside`` overrides the checkpoint's: it belongs to no weight."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    settings = Settings.parse(state["config"])
    if gaze_inside is not None:
        settings = replace(settings, gaze_inside=gaze_inside)
    net = build_network(settings)
    net.load_state_dict(state["average"])
    net.eval()
    return net, settings.default_size


def _metadata(version: str, size: tuple[int, int]) -> dict[str, str]:
    return {
        "gpu_saliency.contract": "image-v1",
        "gpu_saliency.version": version,
        "gpu_saliency.size_multiple": str(SIZE_MULTIPLE),
        "gpu_saliency.default_width": str(size[0]),
        "gpu_saliency.default_height": str(size[1]),
    }


def verify(path: Path, net: Network, tolerance: float = TOLERANCE) -> float:
    """Raise `ExportError` unless ONNX Runtime agrees with PyTorch; return the largest difference."""
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    if path.stat().st_size > MAX_BYTES:
        raise ExportError(f"{path}: {path.stat().st_size} bytes, more than {MAX_BYTES}")
    if any(node.op_type == "BatchNormalization" for node in model.graph.node):
        raise ExportError(f"{path}: batch norm is not folded into the convolutions")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(0), 0.0
    for width, height in _CHECKED_SIZES:
        for batch in _CHECKED_BATCHES:
            x = rng.standard_normal((batch, 3, height, width), np.float32)
            found = session.run(["saliency_map"], {"input": x})[0]
            with torch.inference_mode():
                expected = net(torch.from_numpy(x)).numpy()
            if found.shape != (batch, 1, height, width) or found.dtype != np.float32:
                raise ExportError(f"{path}: {found.dtype} {found.shape} for an input of {x.shape}")
            worst = max(worst, float(np.abs(found - expected).max()))
    if not worst < tolerance:
        raise ExportError(f"{path}: differs from PyTorch by {worst:.2g}, more than {tolerance}")
    return worst


def _to_onnx(net: Network, path: Path) -> Any:
    """Write ``path`` and read it back as a model."""
    with warnings.catch_warnings():
        # The TorchScript exporter says on every call that it is deprecated; its successor needs one more package.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            (torch.zeros(2, 3, DEFAULT_SIZE[1], DEFAULT_SIZE[0]),),
            str(path),
            input_names=["input"],
            output_names=["saliency_map"],
            dynamic_axes={name: {0: "N", 2: "H", 3: "W"} for name in ("input", "saliency_map")},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load(str(path))


def export(net: Network, path: Path, size: tuple[int, int] = DEFAULT_SIZE, *, fp16: bool = False) -> float:
    """Write, verify, then rename to ``path``; return the largest difference from PyTorch. ``size``: (width, height)."""
    net.eval()
    temporary = path.with_suffix(".partial.onnx")
    try:
        model = _to_onnx(net, temporary)
        if fp16:
            model = convert_float_to_float16(model, keep_io_types=True)
            # The converter appends its casts at the end.
            OnnxModel(model).topological_sort()
        onnx.helper.set_model_props(model, _metadata(path.stem, size))
        onnx.save(model, str(temporary))
        worst = verify(temporary, net, TOLERANCE_FP16 if fp16 else TOLERANCE)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return worst


def main() -> None:
    """Parse, export, say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--fp16", action="store_true", help="write OUTPUT_fp16.onnx as well")
    parser.add_argument("--gaze-inside", type=float, help="0..1, instead of the one trained with (settings.py)")
    args = parser.parse_args()
    net, size = load_average(args.checkpoint, args.gaze_inside)
    paths = [args.output, args.output.with_stem(f"{args.output.stem}_fp16")]
    for fp16, path in enumerate(paths[: 1 + args.fp16]):
        worst = export(net, path, size, fp16=bool(fp16))
        print(f"{path}: {path.stat().st_size} bytes, within {worst:.1e} of PyTorch")


if __name__ == "__main__":
    main()
