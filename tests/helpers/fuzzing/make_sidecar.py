"""Cases with damaged sidecars: the zip file, its members, and the facts in its header."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing.case import Case, Name
from fuzzing.layout import Layout
from fuzzing.mutations import MUTATIONS, Intact
from fuzzing.nursery import CONTAINERS, FRAMES, Nursery

Members = dict[str, bytes]
_SOURCE = next(one for one in CONTAINERS if one.name == "mkv")
_WORDS: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**400, -0.0, 1e308, float("nan"), float("inf"), "", "x", "0/0", "1/0", "1e99999999",
    "9" * 5000, "\0", "\x1b[2J", "é" * 300, "../../etc/passwd", [], [[]], {}, {"a": {}}, list(range(100)), [-1], ["a"], "NaN",
)  # fmt: skip


def make(name: Name, nursery: Nursery, folder: Path) -> Case:
    """Case ``index`` takes one of `_CHANGES` in turn; the clip is intact, so a success must be complete."""
    random = name.random()
    what, change = _CHANGES[name.index % len(_CHANGES)]
    source = folder / "in" / "clip.mkv"
    shutil.copyfile(nursery.clip(_SOURCE), source)
    sidecar = folder / "in" / "given.npz"
    text = change(nursery.sidecar.read_bytes(), random, sidecar)
    output = folder / "out" / "o.mkv"
    arguments = ["encode", "--src", str(source), "--output", str(output), "--preset", "ultrafast", "--sidecar", str(sidecar)]
    arguments += ["--no-equal-size", *random.choice([[], ["--prove", "none"], ["--json"], ["--dry-run"]])]
    dry = "--dry-run" in arguments
    allowed = [sidecar, output.with_name("o.mkv.saliency.npz")]
    return Case(
        f"{what}: {text}", arguments, source, None if dry else output, allowed, FRAMES, whole=not dry, fresh=name.index % 16 == 0
    )


def _members(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {one: archive.read(one) for one in archive.namelist()}


def _write(path: Path, members: Members, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _bytes(data: bytes, random: Random, path: Path) -> str:
    """Damage the file's bytes as a clip's."""
    what, change = random.choice([one for one in MUTATIONS if not one[0].startswith(("edit", "other", "swap", "splice", "intact"))])
    found = change(Intact(data, Layout(), {}), random)
    path.write_bytes(found.data)
    return f"{what} {found.what}"


def _header(data: bytes, random: Random, path: Path) -> str:
    members = _members(data)
    header = json.loads(members["header.json"])
    text = []
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        text.append(_change_json(header, random))
    members["header.json"] = json.dumps(header).encode()
    _write(path, members)
    return ", ".join(text)


def _change_json(value: Any, random: Random, where: str = "") -> str:
    """Remove, replace or add a value somewhere in an object."""
    places = [(value, key, where) for key in value]
    waiting = [(value[key], f"{where}{key}.") for key in value if isinstance(value[key], dict)]
    while waiting:
        inner, path = waiting.pop()
        places += [(inner, key, path) for key in inner]
        waiting += [(inner[key], f"{path}{key}.") for key in inner if isinstance(inner[key], dict)]
    holder, key, path = random.choice(places)
    action = random.choice(["remove", "replace", "replace", "replace", "add"])
    if action == "remove":
        del holder[key]
        return f"without {path}{key}"
    word = random.choice(_WORDS)
    if action == "add":
        key = random.choice(["device", "frames", "sidecar", "reused", "path", "unknown", "size_bytes", "__class__"])
    holder[key] = word
    return f"{path}{key} = {str(word)[:60]!r}"


def _header_text(data: bytes, random: Random, path: Path) -> str:
    members = _members(data)
    text = members["header.json"]
    choices = {
        "is empty": b"",
        "is a list": b"[]",
        "is deep": b"[" * 100_000,
        "is not UTF-8": b"\xff\xfe" + text,
        "is 2 MB": text[:-1] + b" " * 2_000_000 + b"}",
        "has the key version twice": text[:-1] + b', "version": 4, "frame_count": 1000000000}',
        "is cut": text[: len(text) // 2],
        "has a long number": text.replace(b'"version": 4', b'"version": ' + b"9" * 6000, 1),
    }
    what = random.choice(sorted(choices))
    members["header.json"] = choices[what]
    _write(path, members)
    return f"the header {what}"


def _arrays(data: bytes, random: Random, path: Path) -> str:
    members = _members(data)
    name = random.choice([one for one in members if one.endswith(".npy")])
    array = np.load(io.BytesIO(members[name]), allow_pickle=False)
    changes: dict[str, Callable[[], Any]] = {
        "float64": lambda: array.astype(np.float64),
        "complex": lambda: array.astype(np.complex64),
        "objects": lambda: np.array([{"a": 1}, None], dtype=object),
        "text": lambda: np.array(["a", "b"]),
        "no axis": lambda: np.array(7, array.dtype),
        "one more axis": lambda: array[None],
        "empty": lambda: array[:0],
        "one more": lambda: np.concatenate([array, array[-1:]]),
        "twice": lambda: np.concatenate([array, array]),
        "one fewer": lambda: array[:-1],
        "reversed": lambda: array[::-1],
        "times two": lambda: array * 2,
        "plus one": lambda: array + 1,
        "big endian": lambda: array.astype(array.dtype.newbyteorder(">")),
        "Fortran order": lambda: np.asfortranarray(array),
        "negative": lambda: -array.astype(np.int64),
        "largest": lambda: np.full_like(array, np.inf if array.dtype.kind == "f" else np.iinfo(array.dtype).max),
        "not a number": lambda: np.full(array.shape, np.nan, np.float32),
    }
    what = random.choice(sorted(changes))
    stream = io.BytesIO()
    np.save(stream, changes[what](), allow_pickle=True)
    members[name] = stream.getvalue()
    _write(path, members)
    return f"{name} {what}"


def _shape(data: bytes, random: Random, path: Path) -> str:
    """A shape in the array's header that the data does not have."""
    members = _members(data)
    name = random.choice([one for one in members if one.endswith(".npy")])
    shape = random.choice(
        ["(1000000000000,)", "(2, 99999, 99999)", "(-1,)", "(0,)", "()", "(1,)*1000", "__import__('os').system('true')"]
    )
    dictionary = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    members[name] = b"\x93NUMPY\x01\0" + struct.pack("<H", len(dictionary)) + dictionary.encode() + b"\0" * 100
    _write(path, members)
    return f"{name} of shape {shape}"


def _archive(data: bytes, random: Random, path: Path) -> str:
    members = _members(data)
    name = random.choice(sorted(members))
    what = random.choice(
        ["removed", "twice", "renamed", "bzip2", "lzma", "stored", "bomb", "extra", "folder", "empty archive", "comment"]
    )
    if what in ("bzip2", "lzma"):
        _write(path, members, zipfile.ZIP_BZIP2 if what == "bzip2" else zipfile.ZIP_LZMA)
        return what
    if what == "removed":
        del members[name]
    elif what == "renamed":
        members[random.choice(["../" + name, "/etc/x.npy", name.upper(), "a" * 300])] = members.pop(name)
    elif what == "bomb":
        _write(path, {key: content for key, content in members.items() if key != name})
        _add_bomb(path, name, members[name])
        return f"{name} inflates to 2 GiB"
    elif what == "extra":
        members["other.npy"] = b"\x93NUMPY"
    elif what == "folder":
        members[name + "/"] = b""
    elif what == "empty archive":
        members = {}
    _write(path, members, zipfile.ZIP_STORED if what == "stored" else zipfile.ZIP_DEFLATED)
    if what in ("twice", "comment"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"c" * 60_000
            if what == "twice":
                # A second member of the same name: readers disagree which one counts.
                archive.filelist.append(archive.filelist[0])
                archive._didModify = True  # type: ignore[attr-defined]
    return f"{name} {what}"


def _add_bomb(path: Path, name: str, start: bytes) -> None:
    """Add a member to the archive at ``path`` that holds ``start`` and then 2 GiB of zeros, in 2 MB of deflate.

    The stream repeats one compressed MiB, since a full flush lets a piece stand by itself.
    """
    piece, times = bytes(1 << 20), 2048
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    body = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = head + body + again * (times - 1) + packer.flush()
    check = zlib.crc32(start)
    for _ in range(times):
        check = zlib.crc32(piece, check)
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.compress_type, entry.CRC, entry.compress_size, entry.file_size = (
            8,
            check,
            len(stream),
            len(start) + times * len(piece),
        )
        entry.header_offset = archive.start_dir
        assert archive.fp is not None
        archive.fp.seek(archive.start_dir)
        archive.fp.write(entry.FileHeader() + stream)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(entry)
        archive._didModify = True  # type: ignore[attr-defined]


def _other_file(_data: bytes, random: Random, path: Path) -> str:
    what = random.choice(["empty", "text", "folder", "dangling link", "zeros", "npz of others"])
    if what == "folder":
        path.mkdir()
    elif what == "dangling link":
        path.symlink_to("nowhere.npz")
    elif what == "npz of others":
        np.savez(path, a=np.zeros(3))
    else:
        path.write_bytes({"empty": b"", "text": b"hello\n", "zeros": bytes(5000)}[what])
    return what


_CHANGES: tuple[tuple[str, Callable[[bytes, Random, Path], str]], ...] = (
    ("bytes", _bytes),
    ("header", _header),
    ("header text", _header_text),
    ("array", _arrays),
    ("header", _header),
    ("shape", _shape),
    ("archive", _archive),
    ("array", _arrays),
    ("header", _header),
    ("another file", _other_file),
)
