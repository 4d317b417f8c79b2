"""The child process of trial.py: loads a model and runs it once. It is started as a script and imports nothing of the package.

Arguments: seconds of computing time, bytes of address space, the descriptor of the model's data, ``sys.path`` as JSON. It writes
the session's inputs, outputs and metadata as a line of JSON, reads a line with the input's name and shape and the outputs' names,
runs the model on zeros, and writes another line. A line with ``error`` ends it.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_MAX_TEXT = 300
_MAX_METADATA = 1 << 17


def _limit(seconds: int, address_space: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))


def _take_stdout() -> int:
    """A descriptor for the answers that native code does not write to: standard output leads nowhere from now on."""
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _say(answers: int, facts: dict[str, Any]) -> None:
    with os.fdopen(os.dup(answers), "w") as stream:
        stream.write(json.dumps(facts) + "\n")


def _describe(session: Any) -> dict[str, Any]:
    def values(found: Any) -> list[list[Any]]:
        return [[one.name[:_MAX_TEXT], list(one.shape)[:16], one.type[:_MAX_TEXT]] for one in found[:16]]

    metadata = session.get_modelmeta().custom_metadata_map
    known = {key: value[:_MAX_METADATA] for key, value in metadata.items() if key.startswith("gpu_saliency.")}
    return {"inputs": values(session.get_inputs()), "outputs": values(session.get_outputs()), "metadata": known}


def main() -> None:
    seconds, address_space, descriptor, paths = sys.argv[1:]
    sys.path[:] = json.loads(paths)
    answers = _take_stdout()
    _limit(int(seconds), int(address_space))
    with os.fdopen(int(descriptor), "rb") as file:
        file.seek(0)
        data = file.read()
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        _say(answers, _describe(session))
        asked = json.loads(sys.stdin.readline())
        session.run(asked["outputs"], {asked["input"]: np.zeros(asked["shape"], np.float32)})
    except MemoryError:
        _say(answers, {"error": "it needs too much memory"})
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        lines = str(error).strip().splitlines()
        _say(answers, {"error": (lines[0] if lines else type(error).__name__)[:_MAX_TEXT]})
    else:
        _say(answers, {})
    os._exit(0)


if __name__ == "__main__":
    main()
