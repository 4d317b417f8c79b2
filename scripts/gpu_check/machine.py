"""Finds out what the machine has: NVIDIA's driver libraries, and from the first checks' results what the other checks can use."""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = ("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1")
PARTS = ("cupy", "provider", "libnvcuvid", "PyNvVideoCodec", "clips", "compute-sanitizer")
"""What a check may need. ``provider``: ONNX Runtime runs the model on the GPU."""
_SEARCHED = ("/usr", "/opt", "/lib", "/lib64", "/run")
_SEARCH_SECONDS = 10
_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib64", "/usr/lib/wsl/lib")


def driver_folders() -> list[str]:
    """Folders with driver libraries that the loader does not find by itself, for LD_LIBRARY_PATH."""
    missing = [name for name in LIBRARIES if load_error(name) is not None]
    known = {name: next((folder for folder in _FOLDERS if Path(folder, name).exists()), None) for name in missing}
    if None in known.values():
        found = _search([name for name, folder in known.items() if folder is None])
        known = {name: folder or found.get(name) for name, folder in known.items()}
    return list(dict.fromkeys(folder for folder in known.values() if folder is not None))


def load_error(library: str) -> str | None:
    """Why the loader cannot load ``library``; ``None`` if it can."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        return str(error)
    return None


def _search(names: list[str]) -> dict[str, str]:
    """The folder of each of ``names`` among installed software; stubs and libraries for other drivers (compat) do not count."""
    left_out = [word for name in ("compat", "stubs") for word in ("-name", name, "-prune", "-o")]
    wanted = [word for name in names for word in ("-o", "-name", name)][1:]
    command = ["find", *_SEARCHED, *left_out, "(", *wanted, ")", "-print"]
    with tempfile.TemporaryFile("w+") as output:
        # What was found before the time-out counts.
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, stdout=output, stderr=subprocess.DEVNULL, timeout=_SEARCH_SECONDS, check=False)
        output.seek(0)
        paths = [Path(line.rstrip("\n")) for line in output]
    return {path.name: str(path.parent) for path in reversed(paths)}


def missing_parts(results: Path, has_clips: bool) -> dict[str, str]:
    """The reason for each of `PARTS` that is missing, by what the checks ``libraries`` and ``imports`` wrote to ``results``."""
    errors = _errors(results / "libraries.json") | _errors(results / "imports.json")
    missing = {}
    for part, names in {
        "cupy": ("libcuda.so.1", "cupy"),
        "provider": ("libcuda.so.1", "cupy", "onnxruntime", "CUDA provider", "inference"),
        "libnvcuvid": ("libnvcuvid.so.1",),
        "PyNvVideoCodec": ("libnvcuvid.so.1", "PyNvVideoCodec"),
    }.items():
        # A step that is in neither file was not reached.
        found = next(((name, error) for name in names if (error := errors.get(name, "was not tried")) is not None), None)
        if found is not None:
            missing[part] = found[1] if found[1].startswith(found[0]) else ": ".join(found)
    if not has_clips:
        missing["clips"] = "the packs here hold no clips"
    if shutil.which("compute-sanitizer") is None and not Path("/usr/local/cuda/bin/compute-sanitizer").exists():
        missing["compute-sanitizer"] = "compute-sanitizer is not installed"
    return missing


def _errors(path: Path) -> dict[str, str | None]:
    try:
        errors: dict[str, str | None] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return errors


def write_errors(path: Path, errors: Mapping[str, str | None]) -> None:
    """Write what a first check found: for each thing tried why it fails, or null. Whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(errors, indent=1) + "\n")
    part.replace(path)
