"""What a node is asked before it gets work. Ray sends this module by value: it must not need this package on the node."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

_SECONDS = 5.0
"""How long a node waits for the head's file: network file systems keep what they know of a folder for a moment."""


def look(folder: str, word: str, name: str, samples: list[str]) -> dict[str, Any]:
    """Look for the head's file ``folder/word``, write ``folder/name``, and measure the files ``samples``.

    Returns plain data: ``version`` of this package on the node (``None``: it is not there) and ``import_error``; ``saw``, whether
    the head's file has its own name as content; ``wrote``, the content of the node's file, else ``write_error``; ``sizes`` of the
    samples, ``None`` for those that are not there.
    """
    found: dict[str, Any] = {"version": None, "import_error": "", "saw": False, "wrote": "", "write_error": ""}
    try:
        from gpu_saliency._version import __version__

        found["version"] = __version__
    except Exception as error:
        found["import_error"] = f"{type(error).__name__}: {error}"
    deadline = time.monotonic() + _SECONDS
    while not found["saw"]:
        try:
            found["saw"] = (Path(folder) / word).read_text() == word
        except OSError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        else:
            break
    if found["saw"]:
        content = secrets.token_hex(16)
        try:
            (Path(folder) / name).write_text(content)
            found["wrote"] = content
        except OSError as error:
            found["write_error"] = error.strerror or str(error)
    found["sizes"] = [_size(path) for path in samples]
    return found


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except OSError:
        return None
