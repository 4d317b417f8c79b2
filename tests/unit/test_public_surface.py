"""Public Python names, their signatures, and the options of every verb change only on purpose."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from pin_surface import pinned_texts


@pytest.mark.parametrize("path", pinned_texts(), ids=lambda path: path.stem)
def test_the_public_surface_is_pinned(path: Path) -> None:
    pinned, current = path.read_text(encoding="utf-8").splitlines(), pinned_texts()[path].splitlines()
    changes = "\n".join(difflib.unified_diff(pinned, current, "pinned", "current", lineterm="", n=2))
    assert not changes, f"if this change is meant, run scripts/pin_surface.py and commit {path.name}\n{changes}"
