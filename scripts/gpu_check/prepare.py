"""``prepare``: makes the packs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpu_check.archive import write_archive
from gpu_check.clips import CLIPS, make_clip
from gpu_check.packs import MIB, distribute, write_packs
from gpu_check.wheels import GROUPS, download, unpack_wheels

ROOT = Path(__file__).resolve().parents[2]
MARGIN = MIB // 4
"""Left free in each pack for the names of files and for what a transfer adds."""


def prepare(folder: Path, limit_mib: float, architecture: int, python: str) -> None:
    """Write the packs into ``folder``. Raises `SystemExit` when they cannot be made."""
    tree = tree_bytes()
    room = int(limit_mib * MIB) - tree - MARGIN
    if room <= 0:
        raise SystemExit(f"the repository alone has {tree / MIB:.1f} MiB; give a larger --limit-mib")
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        work = Path(name)
        # The archives take longest, so they begin first.
        archives = [pool.submit(_archive, work, group, architecture, python) for group in GROUPS]
        clips = [pool.submit(make_clip, work, clip) for clip in CLIPS]
        files = [*(one.result() for one in archives), *(one.result() for one in clips)]
        for number, pieces in enumerate(write_packs(folder, distribute(files, room)), 1):
            used = sum(piece.size for piece in pieces)
            print(f"pack-{number}: {used / MIB:.1f} MiB, {(used + tree) / MIB:.1f} MiB with the repository")
            for piece in pieces:
                print(f"    {piece.name}  {piece.size / MIB:.2f} MiB")


def _archive(work: Path, group: str, architecture: int, python: str) -> Path:
    site = work / group
    wheels = download(work / f"{group}-wheels", GROUPS[group], python)
    unpack_wheels(wheels, site, architecture)
    return write_archive(site, work / f"{group}.tar.xz")


def tree_bytes() -> int:
    """Bytes of the repository's files: tracked ones, and new ones that git does not ignore."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{ROOT} is no git checkout ({error}); counting all its files", file=sys.stderr)
        paths = [path for path in ROOT.rglob("*") if path.is_file()]
    else:
        paths = [ROOT / name.decode() for name in done.stdout.split(b"\0") if name]
    return sum(path.lstat().st_size for path in paths if path.exists() or path.is_symlink())
