"""Exports a plan for other programs: arrays (NPZ), a table (CSV), or a grey picture for each segment (PNG). docs/own-maps.md."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import decode_gaze
from gpu_saliency.draw.canvas import png_bytes
from gpu_saliency.errors import OutputError, setting, unknown_choice
from gpu_saliency.files import check_folder, check_output, publish, writing
from gpu_saliency.plan.attention import DEFAULT_CURVE
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder

EXPORTS = ("png", "npz", "csv")
"""Forms of an exported plan."""
GREY_AT_0, GREY_PER_QP = 128, 10
"""A PNG has ``128 - 10 * effective offset``: lighter is better quality, 128 is that of a plain encode."""
CSV_HEADER = "segment,start_frame,row,col,offset,effective"
_PICTURE = re.compile(r"segment_\d+_frame_\d+\.png")
_CURE = f"give {setting('export_to')} another path"


def default_export(source: Path, form: str) -> Path:
    """The path of an export of the plan of ``source``: beside it."""
    return source.with_name(source.name + (".plan" if form == "png" else f".plan.{form}"))


def check_export(form: str, path: Path, source: Path, *, overwrite: bool) -> None:
    """Raise `UsageError` for an unknown ``form``, `OutputError` unless ``path`` can be written."""
    if form not in EXPORTS:
        raise unknown_choice("export", form, EXPORTS)
    if form != "png":
        check_output(path, source, overwrite=overwrite, name="export_to")
        return
    check_folder(path.absolute(), cure=_CURE)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file", cure=f"give {setting('export_to')} the path of a folder to make")
    if path.is_dir():
        names = [entry.name for entry in path.iterdir()]
        if not all(map(_PICTURE.fullmatch, names)):
            raise OutputError(f"{path}: holds other files than an exported plan", cure=_CURE)
        if names and not overwrite:
            raise OutputError(f"{path}: exists", cure=f"give {setting('overwrite', True)}, or {setting('export_to')} another path")


def export_plan(plan: RoiPlan, sidecar: Sidecar, form: str, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write ``plan``, made from ``sidecar``, to ``path`` as ``png`` (a folder), ``npz`` or ``csv``; nothing is left after an error.

    Raises `UsageError` or `OutputError`.
    """
    path = Path(path)
    check_export(form, path, Path(sidecar.source.path), overwrite=overwrite)
    if form == "png":
        _write_pictures(plan, path, overwrite=overwrite)
        return path
    with (
        publish(path, overwrite=overwrite, cure=_CURE, name="export_to") as temporary,
        writing(path, cure=_CURE),
        temporary.open("wb") as file,
    ):
        if form == "npz":
            np.savez_compressed(file, **plan_arrays(plan, sidecar))  # type: ignore[arg-type]  # mypy takes the arrays for the flag
        else:
            file.writelines(line.encode() for line in _csv_lines(plan))
    return path


def plan_arrays(plan: RoiPlan, sidecar: Sidecar) -> dict[str, NDArray[Any]]:
    """The arrays of an NPZ by name: the plan by segment, and the maps by sample, which can be given as maps again."""
    track = sidecar.track
    arrays: dict[str, NDArray[Any]] = {
        "qp_offset": plan.qp_offset,
        "recentre": plan.recentre,
        "segment_start": plan.segment_start,
        "segment_end": plan.segment_end,
        "block_size": np.array(plan.block_size),
        "width": np.array(plan.width),
        "height": np.array(plan.height),
        "frame_count": np.array(plan.frame_count),
        "cuts": np.array(plan.cuts, np.int64),
        "frames": track.sample_frame,
    }
    if sidecar.maps is None or sidecar.maps.kind != "gaze":  # there the track's saliency only stands in for the gaze
        arrays["saliency"] = track.saliency
    if track.gaze is not None:
        table = (track.attention or DEFAULT_CURVE).density(decode_gaze(np.arange(256, dtype=np.uint8)))
        arrays["gaze"] = table.astype(np.float16)[track.gaze]
    return arrays


def _csv_lines(plan: RoiPlan) -> Iterator[str]:
    yield CSV_HEADER + "\n"
    for segment, start in enumerate(plan.segment_start.tolist()):
        offsets, effective = plan.qp_offset[segment].tolist(), plan.effective(segment).tolist()
        for row, (whole, exact) in enumerate(zip(offsets, effective, strict=True)):
            for col, (offset, total) in enumerate(zip(whole, exact, strict=True)):
                yield f"{segment},{start},{row},{col},{offset},{total:.3f}\n"


def plan_picture(plan: RoiPlan, segment: int) -> NDArray[np.uint8]:
    """Effective offsets of one segment as grey ``[height, width]`` on the coded picture; see `GREY_PER_QP`."""
    grey = np.clip(np.rint(GREY_AT_0 - GREY_PER_QP * plan.effective(segment)), 0, 255).astype(np.uint8)
    pixels = grey.repeat(plan.block_size, axis=0).repeat(plan.block_size, axis=1)
    return np.ascontiguousarray(pixels[: plan.height, : plan.width])


def _write_pictures(plan: RoiPlan, folder: Path, *, overwrite: bool) -> None:
    """Write a picture for each segment to a temporary folder, and move them to ``folder`` when all are complete.

    Without ``overwrite`` a folder that others have filled meanwhile is an error, since rename() replaces empty folders only.
    """
    with writing(folder, cure=_CURE), temporary_folder(folder.absolute().parent) as holder:
        temporary, earlier = holder / "pictures", holder / "earlier"
        temporary.mkdir()
        for segment, start in enumerate(plan.segment_start.tolist()):
            name = f"segment_{segment:04}_frame_{start:06}.png"
            (temporary / name).write_bytes(png_bytes(plan_picture(plan, segment)))
        if overwrite and folder.is_dir():  # earlier pictures only, as check_export made sure
            folder.replace(earlier)
        try:
            temporary.replace(folder)
        except OSError:
            if earlier.is_dir():
                earlier.replace(folder)
            raise
