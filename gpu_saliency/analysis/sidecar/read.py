"""Reads a sidecar from an untrusted origin safely: no pickle, no code, every size checked before memory is allocated.

The header comes first. A caller that knows the clip checks it before any array is inflated.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar.records import AnalysisRecord, MapsRecord, ModelRecord, SourceRecord, Text
from gpu_saliency.analysis.sidecar.sidecar import FORMAT, READABLE_VERSIONS, Sidecar
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import SidecarError, setting
from gpu_saliency.grid import grid_shape
from gpu_saliency.untrusted.archive import open_archive, open_member, read_npy_header
from gpu_saliency.untrusted.strict_json import check_shape, parse_json

REPLACE_CURE = f"delete it, or give {setting('sidecar')} another path"
_MAX_HEADER_BYTES = 1 << 20
_MAX_ARRAY_BYTES = 1 << 30
_MAX_FRAMES = 1 << 27
_MAX_STAMP = 1 << 62
Frames = Annotated[int, Meta(ge=1, le=_MAX_FRAMES)]


@dataclass(frozen=True, slots=True)
class SidecarHeader:
    """The header of a sidecar; the annotations are its schema."""

    block_size: Literal[16]
    """`BLOCK_SIZE`."""
    frame_count: Frames
    samples: Frames
    cuts: tuple[Frames, ...]
    time_base: Fraction
    has_frame_pts: bool
    has_gaze: bool
    source: SourceRecord
    model: ModelRecord | None
    maps: MapsRecord | None
    analysis: AnalysisRecord
    encodes: dict[Text, dict[Text, Any]]

    def __post_init__(self) -> None:
        if (self.model is None) == (self.maps is None):
            raise ValueError("its maps need one origin, a model or given maps")
        if self.samples > self.frame_count:
            raise ValueError(f"it claims {self.samples} maps of {self.frame_count} frames")

    @property
    def origin(self) -> ModelRecord | MapsRecord:
        """The model or the given maps."""
        origin = self.model or self.maps
        assert origin is not None
        return origin


HeaderCheck = Callable[[SidecarHeader], None]
"""Raises `SidecarError` for a header that the caller does not accept."""


def read_sidecar(path: str | os.PathLike[str], check: HeaderCheck | None = None) -> Sidecar:
    """Load the sidecar ``path``; ``check`` sees the header before any array is inflated.

    Raises `SidecarError` if the file is damaged, hostile or of another version.
    """
    path = Path(path)
    try:
        with open_archive(path) as archive:
            header = _read_header(path, archive)
            if check is not None:
                check(header)
            track = _read_track(path, archive, header)
    except SidecarError:
        raise
    except Exception as error:  # zipfile raises a dozen types on damaged files, those of its decompressors among them
        raise SidecarError(f"{path}: is not a sidecar: {_reason(error)}", cure=REPLACE_CURE) from error
    return Sidecar(track, header.source, header.model, header.analysis, header.encodes, header.maps)


def read_header(path: str | os.PathLike[str]) -> SidecarHeader:
    """The header of the sidecar ``path``; no array is read. Raises `SidecarError` as `read_sidecar`."""
    path = Path(path)
    try:
        with open_archive(path) as archive:
            return _read_header(path, archive)
    except SidecarError:
        raise
    except Exception as error:
        raise SidecarError(f"{path}: is not a sidecar: {_reason(error)}", cure=REPLACE_CURE) from error


def unusable(path: Path, reason: str) -> SidecarError:
    """The error for a file that is a sidecar by its form and cannot be used."""
    return SidecarError(f"{path}: is not a usable sidecar: {reason}", cure=REPLACE_CURE)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return (text.splitlines() or [type(error).__name__])[0][:200]


def _read_header(path: Path, archive: zipfile.ZipFile) -> SidecarHeader:
    try:
        with open_member(archive, "header.json") as member:
            size = archive.getinfo("header.json").file_size
            if size > _MAX_HEADER_BYTES:
                raise unusable(path, f"its header claims {size} bytes, at most {_MAX_HEADER_BYTES} are allowed")
            header = parse_json(member.read(size))
    except KeyError:
        raise unusable(path, "it has no header") from None
    except ValueError as error:
        raise unusable(path, f"its header {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise unusable(path, f"its header does not have the format {FORMAT}")
    version = header.get("version")
    if type(version) is not int or version not in READABLE_VERSIONS:
        reads = " and ".join(map(str, READABLE_VERSIONS))
        raise SidecarError(f"{path}: has version {str(version)[:40]}, this program reads {reads}", cure="delete it")
    if version == 2:
        header["has_gaze"] = False
    if version < 4:
        header["maps"] = None
    try:
        analysis = AnalysisRecord.from_json(header.get("analysis"))
        return check_shape(header | {"analysis": analysis}, SidecarHeader)
    except ValueError as error:
        raise unusable(path, f"its header: {_reason(error)}") from error


def _read_track(path: Path, archive: zipfile.ZipFile, header: SidecarHeader) -> SaliencyTrack:
    samples, frames = header.samples, header.frame_count
    grid = (samples, *grid_shape(header.source.width, header.source.height))
    # The small arrays first: the maps are inflated only where the time axis is sound.
    forms: dict[str, tuple[tuple[int, ...], str]] = {"frame_pts": ((frames,), "<i8")} if header.has_frame_pts else {}
    forms |= {"sample_frame": ((samples,), "<i8"), "motion": ((samples,), "<f4"), "saliency": (grid, "|u1")}
    forms |= {"gaze": (grid, "|u1")} if header.has_gaze else {}
    forms |= {"detail": (grid, "|u1")}
    for name, form in forms.items():
        _check_member(path, archive, name, *form)
    pts = _stamps(path, _read_array(path, archive, "frame_pts", *forms["frame_pts"])) if header.has_frame_pts else None
    found = {name: _read_array(path, archive, name, *form) for name, form in forms.items() if name != "frame_pts"}
    try:
        return SaliencyTrack(
            found["saliency"],
            found["detail"],
            found["sample_frame"],
            found["motion"],
            frame_count=frames,
            cuts=header.cuts,
            frame_pts=pts,
            time_base=header.time_base,
            gaze=found.get("gaze"),
            clock=header.analysis.clock if header.has_frame_pts else "counted",
            attention=header.origin.attention,
            at_key_frames=header.analysis.at_key_frames,
        )
    except ValueError as error:
        raise unusable(path, str(error)) from error


def _stamps(path: Path, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The time stamps from their differences, which rise and cannot overflow."""
    extent = abs(float(steps[0])) + np.abs(steps[1:].astype(np.float64)).sum()
    if np.any(steps[1:] < 1) or extent > _MAX_STAMP:
        raise unusable(path, "each frame needs a time stamp after the one before")
    return np.cumsum(steps)


def _check_member(path: Path, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> None:
    """Check what the zip declares about the array ``name``, so that a small hostile file cannot allocate much memory."""
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise unusable(path, f"it has no {name}") from None
    # The .npy header of a plain array is 128 bytes; a member shorter or much longer than its array was not written by this program.
    if expected > _MAX_ARRAY_BYTES or not expected < info.file_size <= expected + 1024:
        raise unusable(path, f"its {name} claims {info.file_size} bytes, {expected} were expected")


def _read_array(path: Path, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Read the array ``name``, of which `_check_member` has checked the size."""
    try:
        with open_member(archive, f"{name}.npy") as member:
            found, fortran, kind = read_npy_header(member)
            if found != shape or fortran or kind != np.dtype(dtype):
                raise ValueError(f"is {kind} {found}, expected {np.dtype(dtype)} {shape}")
            data = member.read(math.prod(shape) * kind.itemsize + 1)  # to the end, where the checksum is compared
        return np.frombuffer(data, dtype).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))
    except ValueError as error:
        raise unusable(path, f"its {name} {_reason(error)}") from error
