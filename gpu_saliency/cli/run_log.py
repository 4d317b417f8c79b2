"""The log file of a run: lines of text with the time, or for .jsonl one JSON object a line. A later run adds to it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from gpu_saliency.errors import OutputError, setting
from gpu_saliency.files import check_folder

_FIRST = {".jsonl": b'{"event": "start"'}
_TEXT_FIRST = b"# gpu-saliency log"


class RunLog:
    """The log in the file ``path``. Raises `OutputError` unless the file is new, empty or a log of this program."""

    def __init__(self, path: Path) -> None:
        self._path, self._is_json = path, path.suffix == ".jsonl"
        cure = f"give {setting('log_file')} another path"
        check_folder(path.absolute(), cure=cure)
        first = _FIRST.get(path.suffix, _TEXT_FIRST)
        if path.exists() and not path.is_file():
            raise OutputError(f"{path}: is not a regular file", cure=cure)
        try:
            start = b""
            if path.exists():
                with path.open("rb") as file:
                    start = file.read(len(first))
            if start not in (b"", first):
                raise OutputError(f"{path}: exists and is not a log of gpu-saliency, to which a run could add", cure=cure)
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace")
            if not start and not self._is_json:
                self._file.write(f"{first.decode()}\n")
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{path}: cannot be written: {error.strerror}", cure=cure) from error

    def write(self, event: str, facts: dict[str, Any]) -> None:
        """Add an event; a log that can no longer be written is given up."""
        if self._file.closed or (event == "progress" and not self._is_json):
            return
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "time": now} | facts) if self._is_json else f"{now} {_text(event, facts)}"
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError:
            self._file.close()

    def close(self) -> None:
        self._file.close()


def _text(event: str, facts: dict[str, Any]) -> str:
    if event == "message":
        return f"{facts['level']}: {facts['text']}"
    if event in ("stage", "stage-end"):
        step = "" if facts["step"] is None else f"{facts['step']}/{facts['steps']} "
        ended = "" if event == "stage" else f": {facts['done']} {facts['unit']} in {facts['seconds']:.1f} s"
        return f"stage: {step}{facts['stage']}{ended}"
    if event == "error":
        return f"error: {facts['message']}" + (f" ({facts['cure']})" if facts["cure"] else "")
    return f"{event}: " + (" ".join(facts["command"]) if event == "start" else f"exit code {facts['exit_code']}")
