"""Sessions of ONNX Runtime on the CPU, for evaluation and for the checks of written files."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


def cpu_session(model: Path | bytes, threads: int = 0) -> ort.InferenceSession:
    """A session of a file or of a serialised model that prints errors alone; ``threads``: 0 is one for each core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"])
