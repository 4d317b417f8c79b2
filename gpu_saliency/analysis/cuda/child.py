"""Runs probe_child.py, which looks at the GPUs in a process of its own, because the GPU libraries may end the process."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from gpu_saliency.process import children

SECONDS = 120
"""Timeout in seconds; the first start of eight sleeping GPUs takes tens of seconds."""


def run_probe_child(*arguments: str, **variables: str) -> tuple[dict[str, Any], str]:
    """Return the sections that the child printed, and how it ended, as the error of a section that is missing.

    ``variables`` are added to its environment. Raises `subprocess.TimeoutExpired`.
    """
    done = children.run_module("gpu_saliency.analysis.cuda.probe_child", arguments, SECONDS, **variables)
    sections: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        sections |= json.loads(line)
    return sections, _ending(done)


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    words = [line for line in done.stderr.splitlines() if line.strip()]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    return f"probing it ended the process ({how}{': ' + words[-1].strip()[:200] if words else ''})"
