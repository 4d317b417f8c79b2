"""scripts/lowest_versions.py finds the lower bound of every direct dependency."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lowest_versions import lowest_versions


def test_each_dependency_gets_its_lower_bound() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounded = [line for line in [*project["dependencies"], *project["optional-dependencies"]["gpu"]] if ">=" in line]
    found = dict(line.split("==") for line in lowest_versions(["gpu"]))
    assert len(found) == len(bounded)
    assert found["numpy"] == "1.26"
    # With extras and a marker.
    assert found["onnxruntime-gpu"] == "1.24"


def test_a_pinned_version_is_left_to_pip() -> None:
    assert not any(line.startswith("torch") for line in lowest_versions(["train"]))
