"""Writes an int8 copy of a saliency model, by ONNX Runtime's static quantisation (QDQ, one scale for each output channel).

    python scripts/training/quantise_onnx.py MODEL.onnx OUT.onnx --data DATA [--pictures 64]

Ranges are measured on pictures of the training sets, at the model's default size. The last convolution before each output
stays float32: 256 steps of a logit are too few for a map. evaluate_saliency.py then shows loss and speed beside MODEL.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image
from saliency_training.data import FIXATION_SET, MASK_SET, read_pairs

from gpu_saliency.files import publish
from gpu_saliency.model.onnx import normalise

_QUANTISED = ("Conv", "Add")


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is not followed by mypy
    """Feeds the first pictures of both training sets to the calibration, one at a time; ``count`` pictures in all."""

    def __init__(self, data: Path, name: str, size: tuple[int, int], count: int) -> None:
        self.feeds = ({name: x} for part in (MASK_SET, FIXATION_SET) for x in _inputs(data, part, size, count // 2))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input ``[1, 3, H, W]`` by its name, or ``None`` after the last."""
        return next(self.feeds, None)


def _inputs(data: Path, part: str, size: tuple[int, int], count: int) -> Iterator[NDArray[np.float32]]:
    for pair in islice(read_pairs(data, part), count):
        image = Image.open(io.BytesIO(pair.image)).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        yield normalise(np.asarray(image)[None], size)


def heads(model: Any) -> list[str]:
    """Names of the convolutions with one output channel: they make the maps."""
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    return [n.name for n in model.graph.node if n.op_type == "Conv" and n.input[1] in shapes and shapes[n.input[1]][0] == 1]


def quantise_file(source: Path, output: Path, data: Path, pictures: int) -> None:
    """Write the int8 copy of ``source`` with its metadata to ``output``."""
    metadata = {entry.key: entry.value for entry in onnx.load(str(source)).metadata_props}
    size = int(metadata["gpu_saliency.default_width"]), int(metadata["gpu_saliency.default_height"])
    with tempfile.TemporaryDirectory() as folder, publish(output) as temporary:
        plain = Path(folder) / "plain.onnx"
        # ONNX Runtime's own optimisation makes float32 weights of packed ones, which the quantiser needs.
        quant_pre_process(str(source), str(plain), skip_symbolic_shape=True)
        model = onnx.load(str(plain))
        quantize_static(
            str(plain),
            str(temporary),
            Pictures(data, model.graph.input[0].name, size, pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=heads(model),
        )
        written = onnx.load(str(temporary))
        onnx.helper.set_model_props(written, metadata)
        onnx.save(written, str(temporary))


def main() -> None:
    """Parse, quantise, print the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="holds train_s224 and train_fixation_s224, as tars or folders")
    parser.add_argument("--pictures", type=int, default=64)
    args = parser.parse_args()
    quantise_file(args.source, args.output, args.data, args.pictures)
    print(f"{args.output}: {args.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
