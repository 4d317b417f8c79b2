"""Run notebooks/*.py and write each as a page and as a Jupyter notebook: ``python scripts/make_notebook.py``.

The source is a Python file whose cells begin with ``# %%`` or ``# %% [markdown]``, which editors open as a notebook.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "notebooks" / "frames_to_score.py"
PAGE = ROOT / "docs" / "notebook.md"
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: Markdown, or code with what it printed."""

    is_code: bool
    text: str
    output: str = ""


def cells_of(source: str) -> list[Cell]:
    """Divide ``source`` into its cells, without output."""
    parts = re.split(r"^# %%(.*)\n", source, flags=re.MULTILINE)[1:]
    cells = []
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        is_code = "[markdown]" not in kind
        cells.append(Cell(is_code, text.strip() if is_code else re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE)))
    return cells


def run(cells: list[Cell], folder: Path) -> list[Cell]:
    """Run the code in ``folder``, all cells in one namespace, and return the cells with their output."""
    names: dict[str, Any] = {"__name__": "__main__"}
    done = []
    with contextlib.chdir(folder):
        for number, cell in enumerate(cells):
            printed = io.StringIO()
            if cell.is_code:
                with contextlib.redirect_stdout(printed):
                    exec(compile(cell.text, f"cell {number}", "exec"), names)
            done.append(replace(cell, output=printed.getvalue()))
    return done


def page_of(cells: list[Cell]) -> str:
    """The page: Markdown, code and output."""
    title, *rest = cells
    note = (
        "<!-- Made by scripts/make_notebook.py from notebooks/frames_to_score.py; do not edit. -->\n\n"
        "[As a Jupyter notebook](notebook.ipynb). CI runs it."
    )
    parts = [title.text, note]
    for cell in rest:
        parts.append(f"```python\n{cell.text}\n```" if cell.is_code else cell.text)
        if cell.output:
            parts.append(f"```text\n{cell.output.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def notebook_of(cells: list[Cell]) -> dict[str, Any]:
    """The notebook in Jupyter's format 4.5."""
    written = []
    for number, cell in enumerate(cells):
        one: dict[str, Any] = {"cell_type": "code" if cell.is_code else "markdown", "id": f"cell-{number}", "metadata": {}}
        if cell.is_code:
            stdout = {"name": "stdout", "output_type": "stream", "text": cell.output.splitlines(keepends=True)}
            one |= {"execution_count": None, "outputs": [stdout] if cell.output else []}
        written.append(one | {"source": cell.text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": written, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = run(cells_of(SOURCE.read_text(encoding="utf-8")), Path(scratch))
    PAGE.write_text(page_of(found), encoding="utf-8")
    NOTEBOOK.write_text(json.dumps(notebook_of(found), indent=1) + "\n", encoding="utf-8")
