"""Export a checkpoint's averaged weights as an ONNX file that keeps the project's contract; the file is verified, then renamed.

    python scripts/training/export_onnx.py CHECKPOINT.pt gpu_saliency/models/saliency_fast_v3.onnx [--pack]
    python scripts/training/export_onnx.py UNPACKED.onnx gpu_saliency/models/saliency_fast_v3.onnx --pack

Input ``input`` float32 [N, 3, H, W], ImageNet-normalised R'G'B'; output ``saliency_map`` [N, 1, H, W] in 0..1; H and W
multiples of 16. ``--pack`` stores the large weights in 16 bits (saliency_training/packing.py); inference stays float32.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from saliency_training.network import SIZE_MULTIPLE
from saliency_training.networks import Network, build_network
from saliency_training.packing import pack
from saliency_training.settings import Settings
from torch import Tensor

from gpu_saliency.files import publish

OPSET = 17
DEFAULT_SIZE = (256, 144)
TOLERANCE = 1e-4
TOLERANCE_PACKED = 1 / 255
"""One step of an 8-bit map."""
MAX_BYTES = 20_000_000
_CHECKED_SIZES = ((256, 144), (192, 192), (176, 272))
_CHECKED_BATCHES = (1, 3)


class ExportError(RuntimeError):
    """The written file breaks the contract or computes other maps than its source."""


def load_average(
    checkpoint: Path, gaze_inside: float | None = None, gaze_ceiling: float | None = None
) -> tuple[Network, tuple[int, int]]:
    """The averaged network of a checkpoint of a training script, in evaluation mode, and its default size.

    ``gaze_inside`` and ``gaze_ceiling`` override the checkpoint's: they belong to no weight."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    settings = Settings.parse(state["config"])
    if gaze_inside is not None:
        settings = replace(settings, gaze_inside=gaze_inside)
    if gaze_ceiling is not None:
        settings = replace(settings, gaze_ceiling=gaze_ceiling)
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


def verify(path: Path, reference: Callable[[Tensor], Tensor], tolerance: float = TOLERANCE) -> float:
    """Raise `ExportError` unless ONNX Runtime agrees with ``reference`` on noise; return the largest difference."""
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
                expected = reference(torch.from_numpy(x)).numpy()
            if found.shape != (batch, 1, height, width) or found.dtype != np.float32:
                raise ExportError(f"{path}: {found.dtype} {found.shape} for an input of {x.shape}")
            worst = max(worst, float(np.abs(found - expected).max()))
    if not worst < tolerance:
        raise ExportError(f"{path}: differs from its source by {worst:.2g}, more than {tolerance}")
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


def export(net: Network, path: Path, size: tuple[int, int] = DEFAULT_SIZE, *, packed: bool = False) -> float:
    """Write, verify, then rename to ``path``; return the largest difference from PyTorch. ``size``: (width, height)."""
    net.eval()
    with publish(path) as temporary:
        model = _to_onnx(net, temporary)
        onnx.helper.set_model_props(model, _metadata(path.stem, size))
        return _write(model, temporary, net, packed)


def pack_file(source: Path, path: Path) -> float:
    """Write the ONNX file ``source`` to ``path`` with packed weights; return the largest difference of its maps."""
    session = ort.InferenceSession(str(source), providers=["CPUExecutionProvider"])

    def reference(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["saliency_map"], {"input": x.numpy()})[0])

    with publish(path) as temporary:
        return _write(onnx.load(str(source)), temporary, reference, packed=True)


def _write(model: Any, path: Path, reference: Callable[[Tensor], Tensor], packed: bool) -> float:
    """Save ``model``, packed if ``packed``, and verify the file."""
    if packed:
        pack(model)
    onnx.save(model, str(path))
    return verify(path, reference, TOLERANCE_PACKED if packed else TOLERANCE)


def _size(text: str) -> tuple[int, int]:
    width, height = (int(side) for side in text.split("x"))
    if width % SIZE_MULTIPLE or height % SIZE_MULTIPLE:
        raise ValueError(text)
    return width, height


def main() -> None:
    """Parse, export, print the size and the difference of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a checkpoint, or with --pack an ONNX file")
    parser.add_argument("output", type=Path)
    parser.add_argument("--pack", action="store_true", help="store the large weights in 16 bits")
    parser.add_argument("--gaze-inside", type=float, help="0..1, instead of the checkpoint's (settings.py)")
    parser.add_argument("--gaze-ceiling", type=float, help="0..1, instead of the checkpoint's (settings.py)")
    parser.add_argument("--size", type=_size, metavar="WxH", help="default size of the input, instead of the checkpoint's")
    args = parser.parse_args()
    if args.source.suffix == ".onnx":
        if not args.pack or any(value is not None for value in (args.gaze_inside, args.gaze_ceiling, args.size)):
            parser.error("an ONNX file can only be packed (--pack)")
        worst = pack_file(args.source, args.output)
    else:
        net, size = load_average(args.source, args.gaze_inside, args.gaze_ceiling)
        worst = export(net, args.output, args.size or size, packed=args.pack)
    print(f"{args.output}: {args.output.stat().st_size} bytes, within {worst:.1e} of {args.source}")


if __name__ == "__main__":
    main()
