"""Models of any origin: bounds before they are loaded, limits of time and memory while they are tried, one line of error."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
pytest.importorskip("onnx", reason="needs onnx, which the extra `dev` brings")

from hostile_models import ENDLESS_MODELS, HOSTILE_MODELS, greedy, simple
from model_trials import trial_children

from gpu_saliency.errors import ModelError
from gpu_saliency.model import onnx as model_module
from gpu_saliency.model import trial
from gpu_saliency.model.file import ModelFile, describe_model
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.model.shipped import DEFAULT_MODEL, SHIPPED_FOLDER


@pytest.mark.parametrize("name", HOSTILE_MODELS)
def test_a_hostile_model_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    make, words = HOSTILE_MODELS[name]
    path = make(tmp_path)
    with pytest.raises(ModelError, match=words) as caught:
        SaliencyModel(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ENDLESS_MODELS)
def test_a_model_that_does_not_end_is_ended(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the limit of computing time, or of memory where it grows; no child remains."""
    monkeypatch.setattr(trial, "CPU_SECONDS", 2)
    with pytest.raises(ModelError, match=r"takes more than 2 s of computing time|failed on input"):
        SaliencyModel(ENDLESS_MODELS[name](tmp_path))
    assert not trial_children(os.getpid())


def test_a_model_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "WALL_SECONDS", 0.0)
    (tmp_path / "model.onnx").write_bytes(simple().SerializeToString())
    with pytest.raises(ModelError, match="did not answer within 0 s"):
        SaliencyModel(tmp_path / "model.onnx")


def test_an_inference_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial may pass where real pictures need endless time; here it is left out."""
    monkeypatch.setattr(model_module, "RUN_SECONDS", 0.5)
    monkeypatch.setattr(model_module, "try_model", lambda _: None)
    with pytest.raises(ModelError, match="failed on input"):
        SaliencyModel(ENDLESS_MODELS["a loop of 2^62"](tmp_path))
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer) and not one.finished.is_set()]


def _peak() -> int:
    """Most bytes of memory that this process has had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_memory_for_a_picture_is_limited(tmp_path: Path) -> None:
    """The trial on zeros passes; a bright picture needs 4 GiB, and gets none of it. A dark one is analysed after it as before."""
    path = tmp_path / "model.onnx"
    path.write_bytes(greedy(for_bright=True).SerializeToString())
    model, before = SaliencyModel(path), _peak()
    dark, bright = (np.full((1, 3, 32, 64), value, np.float32) for value in (0.0, 1.0))
    assert model(dark).saliency.shape == (1, 32, 64)
    with pytest.raises(ModelError, match=r"failed on input \[1, 3, 32, 64\]: it needs more than 3.0 GiB of memory"):
        model(bright)
    assert _peak() < before + (1 << 28)
    assert model(dark).saliency.shape == (1, 32, 64)


_BESIDE = """
import sys
import numpy as np
from gpu_saliency.errors import ModelError
from gpu_saliency.model import onnx
from gpu_saliency.model.shipped import DEFAULT_MODEL
onnx.memory_limit = lambda _: 1 << 24
limited = onnx.SaliencyModel(onnx.Path(sys.argv[1]))
shipped = onnx.SaliencyModel(DEFAULT_MODEL)
size = shipped.input_size(16 / 9).padded
assert shipped(np.zeros((4, 3, *size[::-1]), np.float32)).saliency.shape == (4, *size[::-1])
try:
    limited(np.zeros((4, 3, 1024, 1024), np.float32))
except ModelError as error:
    print(error)
"""


def test_a_shipped_model_beside_a_limited_one_has_no_limit(tmp_path: Path) -> None:
    """In a process of its own, because some releases of ONNX Runtime keep a process's first limit."""
    path = tmp_path / "model.onnx"
    path.write_bytes(simple().SerializeToString())
    done = subprocess.run([sys.executable, "-c", _BESIDE, str(path)], check=False, capture_output=True, text=True)
    assert "GiB of memory" in done.stdout, done.stderr


def test_memory_that_grows_with_the_batch_is_found_by_the_trial(tmp_path: Path) -> None:
    """0.25 GiB for one sample, 16 GiB for the 4 of a batch."""
    path = tmp_path / "model.onnx"
    path.write_bytes(greedy(for_bright=False, cube=1 << 26).SerializeToString())
    with pytest.raises(ModelError, match=r"failed on input \[4, 3, "):
        trial.try_model(ModelFile.read(path))
    path.write_bytes(greedy(for_bright=False, cube=1 << 10).SerializeToString())
    trial.try_model(ModelFile.read(path))


def test_a_good_model_passes_the_trial(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(simple().SerializeToString())
    assert SaliencyModel(path)(np.zeros((2, 3, 32, 64), np.float32)).saliency.shape == (2, 32, 64)


@pytest.mark.parametrize("path", sorted(SHIPPED_FOLDER.glob("*.onnx")), ids=lambda path: path.stem)
def test_shipped_models_need_no_trial(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "try_model", lambda _: pytest.fail("a child was started"))
    model = SaliencyModel(path)
    assert model.describe() == describe_model(path)


def test_a_copy_of_a_shipped_model_is_tried(tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(DEFAULT_MODEL.read_bytes())
    assert ModelFile.read(DEFAULT_MODEL).is_shipped
    assert not ModelFile.read(copy).is_shipped
