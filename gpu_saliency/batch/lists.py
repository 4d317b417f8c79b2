"""Reads what a batch is to do: a folder, a glob, one clip, or a list as JSONL or CSV with options for each job."""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_saliency.errors import SourceMissingError, UsageError
from gpu_saliency.untrusted.regular import read_regular
from gpu_saliency.untrusted.strict_json import parse_json

LISTS = (".jsonl", ".ndjson", ".csv")
_CLIPS = """
    264 265 266 3gp asf avi dv flv h264 h265 hevc ivf m1v m2ts m2v m4v mkv mov mp4 mpeg mpg mts mxf nut obu ogm ogv ts vob webm wmv
    y4m
"""
SUFFIXES = frozenset("." + name for name in _CLIPS.split())
"""Suffixes by which a file in a folder counts as a clip."""
_MAX_BYTES = 1 << 28
_OWN = ("src", "output", "rungs", "rung")


class BadJobError(ValueError):
    """A job of the list cannot be read; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One job as it was listed."""

    where: str
    """For messages: the source's path, or the list with the line."""
    source: Path
    folder: str = ""
    """The source's folder below the one that was given."""
    base: Path = Path()
    """The folder from which paths in the options count."""
    output: str | None = None
    """Path below the output folder; ``None``: by the template. Of a ladder it is a template itself."""
    outputs: tuple[str, ...] | None = None
    """The paths of a ladder's outputs where they are known, in the order of the rungs."""
    rungs: object = None
    """The rungs of a ladder as they were written (see `read_rungs`); ``None``: those of all jobs, ``False``: none."""
    options: Mapping[str, str | bool] = field(default_factory=dict)
    """By flag without dashes; ``False`` takes back an option that holds for all jobs."""
    priority: int = 0
    """Jobs of a higher one go first."""
    bad: str | None = None
    """Why this job cannot be read."""


@dataclass(frozen=True, slots=True)
class JobList:
    """All jobs of one list, in order."""

    jobs: tuple[Listed, ...]
    passed_over: int = 0
    """Files of a folder that are no clips by their suffix."""


def read_jobs(given: str) -> JobList:
    """Read ``given``: a folder (with those below), a ``.jsonl`` or ``.csv`` list, a clip, or a glob.

    Raises `SourceMissingError` or `UsageError`.
    """
    path = Path(given)
    if path.is_dir():
        return _of_folder(path)
    if path.suffix.lower() in LISTS and path.exists():
        return JobList(tuple(_of_list(path)))
    if path.exists():
        return JobList((Listed(given, path.absolute()),))
    found = sorted(glob.glob(given, recursive=True)) if glob.has_magic(given) else []  # noqa: PTH207 - may be absolute
    clips = [Path(one).absolute() for one in found if Path(one).is_file()]
    if not clips:
        problem = "no file fits this pattern" if glob.has_magic(given) else "does not exist"
        raise SourceMissingError(f"{given}: {problem}", cure="give a folder, a pattern in quotes, a .jsonl or a .csv file")
    return JobList(tuple(Listed(str(clip), clip) for clip in clips))


def _of_folder(folder: Path) -> JobList:
    jobs, passed_over = [], 0
    root = folder.absolute()
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place) / name
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                below = os.path.relpath(place, root)
                jobs.append(Listed(str(path), path, "" if below == "." else below))
            else:
                passed_over += 1
    if not jobs:
        cure = "give a folder with clips, or a list of them as .jsonl"
        raise SourceMissingError(f"{folder}: has no clip: no file has the suffix of one", cure=cure)
    return JobList(tuple(jobs), passed_over)


def _of_list(path: Path) -> Iterator[Listed]:
    try:
        data = read_regular(path, _MAX_BYTES)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: cannot be read: {reason}", cure="give a UTF-8 file with one job a line") from None
    rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text)
    empty = True
    for line, row in rows:
        empty = False
        where = f"{path}:{line}"
        try:
            if isinstance(row, BadJobError):
                raise row
            yield _listed(where, row, path.absolute().parent)
        except BadJobError as error:
            yield Listed(where, Path(), bad=str(error))
    if empty:
        raise UsageError(f"{path}: lists no job", cure='give one job a line, such as {"src": "a.mp4", "crf": 30}')


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, parse_json(line.encode())
            except ValueError as error:
                yield number, BadJobError(f"is not JSON: {error}")


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = next(reader, [])
        names = [name.strip() for name in header]
        if "src" not in names or len(set(names)) != len(names):
            problem = "has a column twice" if "src" in names else "has no column src"
            raise UsageError(f"{path}: its first line {problem}", cure="begin with a line such as src,output,crf")
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(names):
                yield reader.line_num, BadJobError(f"has {len(row)} values for {len(names)} columns")
            else:
                yield reader.line_num, {name: value for name, value in zip(names, row, strict=True) if value != ""}
    except csv.Error as error:
        raise UsageError(f"{path}: line {reader.line_num} is not CSV: {error}", cure="quote values that have commas") from None


def _listed(where: str, row: Any, base: Path) -> Listed:
    if not isinstance(row, dict):
        raise BadJobError('is no object: write {"src": ...}')
    source, output = row.get("src"), row.get("output")
    if not isinstance(source, str) or not source:
        raise BadJobError("has no src")
    if output is not None and (not isinstance(output, str) or not output):
        raise BadJobError("output is not a path")
    named = {_option_name(key): (key, value) for key, value in row.items() if value is not None}
    options = {name: _value(*given) for name, given in named.items() if name not in _OWN}
    rungs = [value for name, (_, value) in named.items() if name in ("rungs", "rung")]
    if len(rungs) > 1:
        raise BadJobError("has both rungs and rung: give one of them")
    return Listed(where, base / source, base=base, output=output, options=options, rungs=_rungs(rungs[0]) if rungs else None)


def _rungs(value: object) -> object:
    return False if value in (False, "false", []) else value


def _option_name(key: str) -> str:
    return key.strip().removeprefix("--").replace("_", "-")


def _value(key: str, value: Any) -> str | bool:
    if isinstance(value, bool) or value in ("true", "false"):
        return value is True or value == "true"
    if isinstance(value, (int, float)):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if isinstance(value, str):
        return value
    raise BadJobError(f"{key} is neither text, number nor true or false")
