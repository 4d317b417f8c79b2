"""Names of outputs by a template such as ``{folder}/{name}.{encoder}.crf{crf}.mp4``."""

from __future__ import annotations

import os
import string
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from gpu_saliency.errors import UsageError
from gpu_saliency.rungs import rung_name

DEFAULT_TEMPLATE = "{folder}/{name}.mp4"
LADDER_TEMPLATE = "{folder}/{name}-{rung}.mp4"
"""Names the outputs of a ladder where no template is given."""
_FIXED = ("name", "ext", "folder", "number", "rung")
_DEFAULTS = {"encoder": "libx264", "crf": "default", "preset": "default", "roi-channel": "best", "bitrate": "default"}
"""What stands for options that a job does not give."""


def check_template(template: str) -> None:
    """Raise `UsageError` unless ``template`` can name outputs: it varies with the job and has a suffix."""
    fields = _fields(template)
    if not {"name", "number"} & set(fields):
        raise UsageError(
            "names every output alike", setting="name", value=template, cure="use {name} or {number} in it, such as {name}.mp4"
        )
    if not PurePosixPath(template).suffix or template.endswith("/"):
        raise UsageError("has no suffix", setting="name", value=template, cure="end it with the container, such as .mp4 or .mkv")


def _fields(template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"is not a template: {error}", setting="name", value=template, cure="such as {name}.mp4") from None
    if any(form or conversion for _, name, form, conversion in parts if name is not None):
        cure = "give names in braces only, such as {name}.{crf}.mp4"
        raise UsageError("has a format", setting="name", value=template, cure=cure)
    return [name for _, name, _, _ in parts if name is not None]


def ladder_template(template: str) -> str:
    """The template for the outputs of a ladder, where ``template`` is the one of single encodes."""
    return LADDER_TEMPLATE if template == DEFAULT_TEMPLATE else template


def fill_template(
    template: str,
    source: Path,
    folder: str,
    number: int,
    options: Mapping[str, str | bool],
    known: frozenset[str],
    *,
    rung: str | None = None,
    confined: bool = True,
) -> PurePosixPath:
    """The output's path below the output folder; with ``confined=False`` it may be any path.

    ``folder`` is the source's folder below the one that was given, ``number`` counts the jobs from 1, ``known`` are the names of
    all options, ``rung`` is the name of a ladder's output (``None``: the size). Raises `UsageError` for names in braces that are
    none of these, and for values that no file name can have.
    """
    values = {"name": source.stem, "ext": source.suffix.removeprefix("."), "folder": folder or ".", "number": f"{number:05d}"}
    values["rung"] = rung or rung_name(str(options.get("scale") or "") or None, "", "")
    for field in _fields(template):
        name = field.replace("_", "-")
        if field in _FIXED:
            continue
        if name not in known:
            cure = "use one of " + ", ".join(_FIXED) + ", or an option of encode such as encoder or crf"
            raise UsageError(f"has the unknown name {{{field}}}", setting="name", value=template, cure=cure)
        given = options.get(name, False)
        values[field] = _DEFAULTS.get(name, "default") if given is False else "on" if given is True else given
        if "/" in values[field] or "\0" in values[field] or values[field] in (".", ".."):
            cure = f"leave {{{field}}} out of it"
            raise UsageError(f"cannot hold {field}={values[field]}, which is a path", setting="name", value=template, cure=cure)
    path = os.path.normpath(template.format_map(values))
    if path in (".", "..") or (confined and path.startswith(("/", "../"))):
        raise UsageError("leads out of the output folder", setting="name", value=template, cure="give a name below it")
    return PurePosixPath(path)
