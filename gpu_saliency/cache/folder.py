"""Where the cache folder is, and how large it may grow."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from gpu_saliency.errors import UsageError

FOLDER_VARIABLE = "GPU_SALIENCY_CACHE_DIR"
SIZE_VARIABLE = "GPU_SALIENCY_CACHE_SIZE"
DEFAULT_BYTES = 1 << 30
_SIZE = re.compile(r"([0-9]{1,12})([kMGT]?)", re.IGNORECASE)
_POWER = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def cache_folder() -> Path:
    """The folder, which may not exist yet: that of ``GPU_SALIENCY_CACHE_DIR``, else the user's on this platform."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).absolute()
    import platformdirs  # imported late: only a run that uses the cache needs it

    return platformdirs.user_cache_path("gpu-saliency")


def cache_bytes() -> int:
    """The largest size of the cache in bytes: that of ``GPU_SALIENCY_CACHE_SIZE``, else 1 GiB. Raises `UsageError`."""
    given = os.environ.get(SIZE_VARIABLE)
    return DEFAULT_BYTES if not given else parse_bytes(given, SIZE_VARIABLE)


def parse_bytes(text: str, setting: str) -> int:
    """Convert ``500M`` or ``2G``, the value of ``setting``, to bytes. Raises `UsageError`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError("is not a size", setting=setting, value=text, cure="give bytes, such as 500M or 2G")
    return int(found[1]) << _POWER[found[2].lower()]


def make_private(folder: Path) -> None:
    """Create ``folder`` for this user only. Raises `OSError` where it cannot be created, or other users can write to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a folder that only this user can write to")
