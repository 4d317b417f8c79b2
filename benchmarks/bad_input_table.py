"""Prints the error message for every bad input of the tests, as a Markdown table.

python benchmarks/bad_input_table.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import _paths  # noqa: F401
from bad_input import CASES
from program import run


def main() -> None:
    print("| Input | Exit status | Message |\n|---|---|---|")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            done = run("encode", *case.arguments(Path(folder)))
            message = " ".join(done.errors).removeprefix("ERROR: ").replace(f"{folder}/", "").replace(folder, ".").replace("|", "/")
        print(f"| {case.name} | {done.code} | {message} |")


if __name__ == "__main__":
    main()
