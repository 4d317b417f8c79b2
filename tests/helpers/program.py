"""The command line program, run inside the test's process."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.cli import main


@dataclass(frozen=True)
class Run:
    """One run of the program."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.out)
        return answer

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("ERROR")]


def run(*arguments: object) -> Run:
    """Run ``gpu-saliency ARGUMENTS`` in this process; with ``--json``, check what it prints against its schema."""
    # Imported here, so that the tests of a GPU can be collected without jsonschema.
    from schemas import check_result

    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["gpu-saliency", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
            code: object = None
            try:
                main()
            except SystemExit as done:
                code = done.code
    finally:
        sys.argv = argv
    assert isinstance(code, int)
    check_result(arguments, out.getvalue())
    return Run(code, out.getvalue(), err.getvalue())


def leftovers(folder: Path, before: set[str]) -> set[str]:
    """Names in ``folder`` that were not there ``before``."""
    return {path.name for path in folder.iterdir()} - before
