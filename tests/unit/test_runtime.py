"""Which ONNX Runtime is installed, by the metadata of the distributions on sys.path."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from gpu_saliency.errors import ToolMissingError
from gpu_saliency.model.runtime import import_onnxruntime, installed_runtimes


def install(folder: Path, wheel: str) -> None:
    """Make the metadata of an installed distribution."""
    metadata = folder / f"{wheel.replace('-', '_')}-1.99.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {wheel}\nVersion: 1.99.0\n")


def test_a_runtime_in_a_later_folder_is_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime-gpu")
    assert "onnxruntime" in installed_runtimes()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_runtimes() == {"onnxruntime-gpu": "1.99.0"}


def test_two_runtimes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wheel in ("onnxruntime", "onnxruntime-gpu"):
        install(tmp_path, wheel)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.metadata.version("onnxruntime-gpu") == "1.99.0"
    with pytest.raises(ToolMissingError, match="both installed") as caught:
        import_onnxruntime()
    assert "pip uninstall" in str(caught.value)
