"""Python imports this at its start where this folder is on PYTHONPATH: it patches CuPy and ONNX Runtime as they are imported."""

import gpu_standin.hooks

gpu_standin.hooks.install()
