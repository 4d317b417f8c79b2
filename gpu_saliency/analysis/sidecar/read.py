"""Reads a sidecar from an untrusted origin safely: no pickle, no code, every size checked before memory is allocated."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar.records import AnalysisRecord, MapsRecord, ModelRecord, SourceRecord, parse_fraction
from gpu_saliency.analysis.sidecar.sidecar import FORMAT, READABLE_VERSIONS, Sidecar
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import SidecarError, setting
from gpu_saliency.grid import BLOCK_SIZE, grid_shape

Raw = TypeVar("Raw")
Record = TypeVar("Record")

REPLACE_CURE = f"delete it, or give {setting('sidecar')} another path"
_MAX_HEADER_BYTES = 1 << 20
_MAX_ARRAY_BYTES = 1 << 30
_MAX_FRAMES = 1 << 27
_HEADER_TYPES: dict[str, type | tuple[type, ...]] = {
    "frame_count": int,
    "samples": int,
    "cuts": list,
    "time_base": str,
    "has_frame_pts": bool,
    "has_gaze": bool,
    "source": dict,
    "model": (dict, type(None)),
    "maps": (dict, type(None)),
    "analysis": dict,
    "encodes": dict,
    "block_size": int,
}


@dataclass(frozen=True, slots=True)
class _Header:
    """The header of a sidecar, with checked types and ranges."""

    frame_count: int
    samples: int
    cuts: tuple[int, ...]
    time_base: Fraction
    has_frame_pts: bool
    has_gaze: bool
    source: SourceRecord
    model: ModelRecord | None
    maps: MapsRecord | None
    analysis: AnalysisRecord
    encodes: dict[str, dict[str, Any]]

    @property
    def origin(self) -> ModelRecord | MapsRecord:
        origin = self.model or self.maps
        assert origin is not None
        return origin


def read_sidecar(path: str | os.PathLike[str]) -> Sidecar:
    """Load the sidecar ``path``. Raises `SidecarError` if it is damaged, hostile or of another version."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            header = _read_header(path, archive)
            track = _read_track(path, archive, header)
    except SidecarError:
        raise
    except Exception as error:  # zipfile raises a dozen types on damaged files, those of its decompressors among them
        raise SidecarError(f"{path}: is not a sidecar: {error}", cure=REPLACE_CURE) from error
    return Sidecar(track, header.source, header.model, header.analysis, header.encodes, header.maps)


def _unusable(path: Path, reason: str) -> SidecarError:
    return SidecarError(f"{path}: is not a usable sidecar: {reason}", cure=REPLACE_CURE)


def _read_header(path: Path, archive: zipfile.ZipFile) -> _Header:
    try:
        info = archive.getinfo("header.json")
    except KeyError:
        raise _unusable(path, "it has no header") from None
    if info.file_size > _MAX_HEADER_BYTES:
        raise _unusable(path, f"its header claims {info.file_size} bytes, at most {_MAX_HEADER_BYTES} are allowed")
    try:
        header = json.loads(archive.read(info))
    except ValueError as error:
        raise _unusable(path, f"its header is not JSON: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _unusable(path, f"its header does not have the format {FORMAT}")
    version = header.get("version")
    if type(version) is not int or version not in READABLE_VERSIONS:
        reads = " and ".join(map(str, READABLE_VERSIONS))
        raise SidecarError(f"{path}: has version {str(version)[:40]}, this program reads {reads}", cure="delete it")
    if version == 2:
        header["has_gaze"] = False
    if version < 4:
        header["maps"] = None
    for key, kind in _HEADER_TYPES.items():
        if key not in header or not isinstance(header[key], kind):
            raise _unusable(path, f"its header has no {key}, or one of another type")
    if not all(isinstance(cut, int) for cut in header["cuts"]):
        raise _unusable(path, "its cuts are not whole numbers")
    if header["block_size"] != BLOCK_SIZE:
        raise _unusable(path, f"its blocks have {header['block_size']} pixels a side, not {BLOCK_SIZE}")
    if (header["model"] is None) == (header["maps"] is None):
        raise _unusable(path, "its maps need one origin, a model or given maps")
    if not 1 <= header["samples"] <= header["frame_count"] <= _MAX_FRAMES:
        raise _unusable(path, f"it claims {header['samples']} maps of {header['frame_count']} frames")
    return _Header(
        frame_count=header["frame_count"],
        samples=header["samples"],
        cuts=tuple(header["cuts"]),
        time_base=_checked(path, "time_base", parse_fraction, header["time_base"]),
        has_frame_pts=header["has_frame_pts"],
        has_gaze=header["has_gaze"],
        source=_checked(path, "source", SourceRecord.from_json, header["source"]),
        model=None if header["model"] is None else _checked(path, "model", ModelRecord.from_json, header["model"]),
        maps=None if header["maps"] is None else _checked(path, "maps", MapsRecord.from_json, header["maps"]),
        analysis=_checked(path, "analysis", AnalysisRecord.from_json, header["analysis"]),
        encodes=header["encodes"],
    )


def _checked(path: Path, key: str, parse: Callable[[Raw], Record], raw: Raw) -> Record:
    """Parse ``raw``, the header's value of ``key``; a `ValueError` of ``parse`` becomes a `SidecarError` that names ``key``."""
    try:
        return parse(raw)
    except ValueError as error:
        raise _unusable(path, f"{key} of its header: {error}") from error


def _read_track(path: Path, archive: zipfile.ZipFile, header: _Header) -> SaliencyTrack:
    samples, frames = header.samples, header.frame_count
    grid = (samples, *grid_shape(header.source.width, header.source.height))
    pts = _read_array(path, archive, "frame_pts", (frames,), "<i8") if header.has_frame_pts else None
    saliency = _read_array(path, archive, "saliency", grid, "|u1")
    gaze = _read_array(path, archive, "gaze", grid, "|u1") if header.has_gaze else None
    activity = _read_array(path, archive, "detail", grid, "|u1")
    sample_frame = _read_array(path, archive, "sample_frame", (samples,), "<i8")
    motion = _read_array(path, archive, "motion", (samples,), "<f4")
    try:
        return SaliencyTrack(
            saliency,
            activity,
            sample_frame,
            motion,
            frame_count=frames,
            cuts=header.cuts,
            frame_pts=None if pts is None else np.cumsum(pts),
            time_base=header.time_base,
            clock=header.analysis.clock if header.has_frame_pts else "counted",
            gaze=gaze,
            attention=header.origin.attention,
        )
    except ValueError as error:
        raise _unusable(path, str(error)) from error


def _read_array(path: Path, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Read the array ``name``. Zip and npy headers are checked first, so that a small hostile file cannot allocate much memory."""
    expected_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise _unusable(path, f"it has no {name}") from None
    # The .npy header of a plain array is 128 bytes; a member shorter or much longer than its array was not written by this program.
    if expected_bytes > _MAX_ARRAY_BYTES or not expected_bytes < info.file_size <= expected_bytes + 1024:
        raise _unusable(path, f"its {name} claims {info.file_size} bytes, {expected_bytes} were expected")
    with archive.open(info) as member:
        try:
            if np.lib.format.read_magic(member) != (1, 0):
                raise ValueError("not version 1.0 of the format")
            found, fortran, kind = np.lib.format.read_array_header_1_0(member)
            if found != shape or fortran or kind != np.dtype(dtype):
                raise ValueError(f"{kind} {found}, expected {np.dtype(dtype)} {shape}")
            return np.frombuffer(member.read(expected_bytes), dtype).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))
        except ValueError as error:
            raise _unusable(path, f"its {name} is {error}") from error
