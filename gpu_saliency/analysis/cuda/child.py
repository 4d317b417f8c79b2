"""Runs probe_child.py, which looks at the GPUs in a process of its own, because the GPU libraries may end the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpu_saliency.process import children

SECONDS = 120
"""Timeout in seconds; the first start of eight sleeping GPUs takes tens of seconds."""


def run_probe_child(*arguments: str, **variables: str) -> tuple[dict[str, Any], str]:
    """Return the sections that the child printed, and how it ended, as the error of a section that is missing.

    ``variables`` are added to its environment. Raises `subprocess.TimeoutExpired`.
    """
    # -P: Python must import this package, not a module of the same name in the current folder.
    command = [sys.executable, "-P", "-m", "gpu_saliency.analysis.cuda.probe_child", *arguments]
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)} | variables
    done = children.run(command, SECONDS, env=environment, text=True)
    sections: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        sections |= json.loads(line)
    return sections, _ending(done)


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    words = [line for line in done.stderr.splitlines() if line.strip()]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    return f"probing it ended the process ({how}{': ' + words[-1].strip()[:200] if words else ''})"
