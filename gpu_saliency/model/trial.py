"""`try_model`: loads and runs a model that did not come with this package in a child process with limits of time and memory.

A model is a program: loops and tensors of any size can be written down in a few bytes. ONNX Runtime has no limits of its own, and
a thread cannot be killed.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.errors import ModelError
from gpu_saliency.model import trial_child
from gpu_saliency.model.contract import ModelContract
from gpu_saliency.model.file import ModelFile
from gpu_saliency.model.runtime import import_onnxruntime
from gpu_saliency.process import children

CPU_SECONDS = 60
"""Computing time that loading and the inference of a batch may take. The shipped models take less than two seconds."""
WALL_SECONDS = 180.0
"""Ends a child that waits; on a busy machine the computing time may take this long."""
_BASE_BYTES, _BYTES_PER_BYTE = 3 << 30, 4
"""Address space of the child: ONNX Runtime itself takes 0.4 GB, and a model is parsed, copied and packed."""
_GIVE_A_MODEL = "give a model that keeps docs/model-contract.md"
_MAX_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class _Value:
    name: str
    shape: list[Any]
    type: str


@dataclass(frozen=True, slots=True)
class _Described:
    """What the child says about its session, in the form of an ``onnxruntime.InferenceSession``."""

    facts: dict[str, Any]

    def get_inputs(self) -> list[_Value]:
        return [_Value(*one) for one in self.facts["inputs"]]

    def get_outputs(self) -> list[_Value]:
        return [_Value(*one) for one in self.facts["outputs"]]

    def get_modelmeta(self) -> _Described:
        return self

    @property
    def custom_metadata_map(self) -> dict[str, str]:
        found: dict[str, str] = self.facts["metadata"]
        return found


def memory_limit(model: ModelFile) -> int:
    """Most bytes that ``model`` may take, in the trial and in each later inference."""
    return _BASE_BYTES + _BYTES_PER_BYTE * len(model.data)


def try_model(model: ModelFile) -> None:
    """Load ``model`` and run it once, on a batch as the CPU gives it, in a child process.

    Raises `ModelError`, or `ToolMissingError` without ONNX Runtime.
    """
    import_onnxruntime()  # its errors have a cure; it also sets the variables that the child inherits
    data = os.memfd_create("model")
    try:
        with open(data, "wb", closefd=False) as file:
            file.write(model.data)
        limits = [str(CPU_SECONDS), str(memory_limit(model)), str(data)]
        script = str(Path(str(trial_child.__file__)))
        command = [sys.executable, "-P", script, *limits, json.dumps([path for path in sys.path if path])]
        pipe = subprocess.PIPE
        with children.start(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, pass_fds=(data,)) as child:
            try:
                _converse(model.path, child)
            finally:
                children.end(child, patience=0)
    finally:
        os.close(data)


def _converse(path: Path, child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    end = time.monotonic() + WALL_SECONDS
    contract = ModelContract.read(path, _Described(_answer(path, child, end, "is not a usable ONNX model")))
    width, height = contract.input_size(16 / 9).padded
    request = {"input": contract.input_name, "outputs": contract.output_names, "shape": [contract.batch_size, 3, height, width]}
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        pass  # the answer tells the reason
    _answer(path, child, end, f"failed on input {request['shape']}")


def _answer(path: Path, child: subprocess.Popen[bytes], end: float, failed: str) -> dict[str, Any]:
    """The next line of the child. Raises `ModelError` for an error of the model, and where the child ends without an answer."""
    line = _line(child, end)
    if line is not None and line.endswith(b"\n"):
        try:
            facts: dict[str, Any] = json.loads(line)
        except ValueError:
            facts = {"error": "what it answered cannot be read"}
        if "error" in facts:
            raise ModelError(f"{path}: {failed}: {facts['error']}", cure=_GIVE_A_MODEL)
        return facts
    if line is None:
        raise ModelError(f"{path}: did not answer within {WALL_SECONDS:g} s", cure=_GIVE_A_MODEL)
    code = child.wait()
    if code == -signal.SIGXCPU:
        raise ModelError(f"{path}: the inference of a batch takes more than {CPU_SECONDS} s of computing time", cure=_GIVE_A_MODEL)
    how = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit status {code}"
    raise ModelError(f"{path}: {failed}: ONNX Runtime ended with {how}", cure=_GIVE_A_MODEL)


def _line(child: subprocess.Popen[bytes], end: float) -> bytes | None:
    """What the child writes up to the end of a line or its own end; ``None`` where it does neither in time."""
    assert child.stdout is not None
    descriptor, found = child.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not found.endswith(b"\n") and len(found) < _MAX_ANSWER:
            if not selector.select(max(0.0, end - time.monotonic())):
                return None
            data = os.read(descriptor, 65536)
            if not data:
                break
            found += data
    return found
