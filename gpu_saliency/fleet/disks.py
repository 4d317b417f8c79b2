"""Refuses to keep the queue's database on a network file system, where SQLite's log cannot be used."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from gpu_saliency.errors import UsageError

_REMOTE = re.compile(r"nfs\d*|cifs|smb\d*|smbfs|lustre|gpfs|beegfs|ceph|glusterfs|afs|9p|virtiofs|orangefs|wekafs|fuse\..+")


def check_local(queue: Path) -> None:
    """Raise `UsageError` if the folder of ``queue`` lies on a network file system; one that is not known passes."""
    kind = file_system(queue.parent)
    if kind is not None and _REMOTE.fullmatch(kind):
        cure = "give a file on a local disk of this machine, such as /var/tmp/queue.sqlite"
        raise UsageError(f"its file system is {kind}, and a database cannot be kept there", setting="queue", value=queue, cure=cure)


def file_system(folder: Path) -> str | None:
    """The kind of the file system of ``folder``, such as ``ext4``; ``None`` where the system does not tell."""
    with contextlib.suppress(OSError):
        device = folder.stat().st_dev
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            # ID parent MAJOR:MINOR root mount-point options [fields] - KIND source options; see proc(5)
            before, _, after = line.partition(" - ")
            major, _, minor = before.split()[2].partition(":")
            if os.makedev(int(major), int(minor)) == device:
                return after.split()[0]
    return None
