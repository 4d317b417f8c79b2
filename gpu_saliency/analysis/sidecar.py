"""The sidecar: what the model found in a clip, in one file that can be kept, shared and reused. Format: docs/sidecar.md.

A zip of ``header.json`` and a few ``.npy`` members, so that any language reads it and ``numpy.load`` does too. Loading one from a
stranger is safe: no pickle, every size is checked before anything is allocated, nothing in it is executed.
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
import zipfile
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import OutputError, SidecarError
from gpu_saliency.grid import BLOCK_SIZE, grid_shape
from gpu_saliency.source.clip import MAX_SIDE, Clip

FORMAT, VERSION = "gpu_saliency.sidecar", 2
SUFFIX = ".saliency.npz"
_MAX_HEADER_BYTES = 1 << 20
_MAX_ARRAY_BYTES = 1 << 30
_MAX_ENCODES = 64
_MAX_FRAMES = 1 << 27
# Fixed, so that the same analysis gives the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def sidecar_beside(file: Path) -> Path:
    """The path that the sidecar of ``file``, a source or an encode, has by default."""
    return file.with_name(file.name + SUFFIX)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One clip's saliency with its provenance; lives on the host and on disk."""

    track: SaliencyTrack
    source: dict[str, Any]
    """``size_bytes``, ``fingerprint``, ``width``, ``height``, ``pix_fmt``, ``duration``, ``path``."""
    model: dict[str, Any]
    """``name``, ``sha256``."""
    analysis: dict[str, Any]
    """``step``, ``sampled_frames``, ``device``, ``provider``, ..."""
    encodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was encoded with it, by output file name: settings, ROI policy, size; ``inspect`` reads it."""

    @property
    def frame_count(self) -> int:
        """Frames of the clip as decoded."""
        return self.track.frame_count

    def with_encode(self, name: str, record: dict[str, Any]) -> Sidecar:
        """A copy that also remembers the encode ``name``; the oldest is forgotten when there are too many."""
        encodes = {key: value for key, value in self.encodes.items() if key != name} | {name: record}
        return replace(self, encodes=dict(list(encodes.items())[-_MAX_ENCODES:]))


def save_sidecar(sidecar: Sidecar, path: Path) -> None:
    """Write ``path`` in one step: a temporary name, then a rename. Raises `OutputError`."""
    track = sidecar.track
    header = {
        "format": FORMAT,
        "version": VERSION,
        "block_size": BLOCK_SIZE,
        "frame_count": track.frame_count,
        "samples": len(track.sample_frame),
        "cuts": list(track.cuts),
        "time_base": str(track.time_base),
        "has_frame_pts": track.frame_pts is not None,
        "source": sidecar.source,
        "model": sidecar.model,
        "analysis": sidecar.analysis,
        "encodes": sidecar.encodes,
    }
    members = {"header.json": json.dumps(header, indent=1).encode()}
    for name, array in _arrays_of(track).items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in members.items():
                    archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), data, zipfile.ZIP_DEFLATED)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", cure="give --sidecar another path") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _arrays_of(track: SaliencyTrack) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "saliency": track.saliency,
        "detail": track.activity,
        "sample_frame": track.sample_frame,
        "motion": track.motion,
    }
    if track.frame_pts is not None:
        # Steps instead of stamps: a steady clip's are all alike and take no room.
        arrays["frame_pts"] = np.diff(track.frame_pts, prepend=0)
    return arrays


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_sidecar(path: Path) -> Sidecar:
    """Load ``path``, trusting nothing in it. Raises `SidecarError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            header = _read_header(path, archive)
            track = _read_track(path, archive, header)
    except SidecarError:
        raise
    except Exception as error:  # zipfile raises a dozen types on damaged files, those of its decompressors among them
        raise SidecarError(f"{path}: is not a sidecar: {error}", cure="delete it, or give another --sidecar") from error
    return Sidecar(track, **{key: header[key] for key in ("source", "model", "analysis", "encodes")})


def _read_track(path: Path, archive: zipfile.ZipFile, header: dict[str, Any]) -> SaliencyTrack:
    samples, frames = header["samples"], header["frame_count"]
    grid = (samples, *grid_shape(header["source"]["width"], header["source"]["height"]))
    # Zip and npy are checked before anything is allocated, so that a small hostile file cannot ask for much.
    pts = _read_array(path, archive, "frame_pts", (frames,), "<i8") if header["has_frame_pts"] else None
    saliency = _read_array(path, archive, "saliency", grid, "|u1")
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
            cuts=tuple(header["cuts"]),
            frame_pts=None if pts is None else np.cumsum(pts),
            time_base=Fraction(header["time_base"]),
        )
    except (ValueError, ZeroDivisionError) as error:
        raise _corrupt(path, str(error)) from error


def _corrupt(path: Path, what: str) -> SidecarError:
    return SidecarError(f"{path}: is not a usable sidecar: {what}", cure="delete it, or give another --sidecar")


_HEADER_TYPES: dict[str, type] = {
    "frame_count": int,
    "samples": int,
    "cuts": list,
    "time_base": str,
    "has_frame_pts": bool,
    "source": dict,
    "model": dict,
    "analysis": dict,
    "encodes": dict,
    "block_size": int,
}


def _read_header(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        info = archive.getinfo("header.json")
    except KeyError:
        raise _corrupt(path, "it has no header") from None
    if info.file_size > _MAX_HEADER_BYTES:
        raise _corrupt(path, f"its header claims {info.file_size} bytes")
    try:
        header = json.loads(archive.read(info))
    except ValueError as error:
        raise _corrupt(path, f"its header is not JSON: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _corrupt(path, "its header is of something else")
    if header.get("version") != VERSION:
        raise SidecarError(f"{path}: has version {header.get('version')}, this program reads {VERSION}", cure="delete it")
    for key, kind in _HEADER_TYPES.items():
        if not isinstance(header.get(key), kind):
            raise _corrupt(path, f"its header has no {key}")
    source = header["source"]
    sides = (source.get("width"), source.get("height"))
    if not all(isinstance(cut, int) for cut in header["cuts"]) or header["block_size"] != BLOCK_SIZE:
        raise _corrupt(path, "its cuts or block size make no sense")
    if not all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in sides):
        raise _corrupt(path, f"it is of a clip of {sides} pixels")
    if not 1 <= header["samples"] <= header["frame_count"] <= _MAX_FRAMES:
        raise _corrupt(path, f"it is of a clip of {header['frame_count']} frames, with maps of {header['samples']}")
    return header


def _read_array(path: Path, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    expected_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise _corrupt(path, f"it has no {name}") from None
    # The .npy header of a plain array is 128 bytes; a zip member longer or shorter than its array is not one that we wrote.
    if expected_bytes > _MAX_ARRAY_BYTES or not expected_bytes < info.file_size <= expected_bytes + 1024:
        raise _corrupt(path, f"its {name} claims {info.file_size} bytes, {expected_bytes} were expected")
    with archive.open(info) as member:
        try:
            if np.lib.format.read_magic(member) != (1, 0):
                raise ValueError("not version 1.0 of the format")
            found, fortran, kind = np.lib.format.read_array_header_1_0(member)
            if found != shape or fortran or kind != np.dtype(dtype):
                raise ValueError(f"{kind} {found}, expected {np.dtype(dtype)} {shape}")
            return np.frombuffer(member.read(expected_bytes), dtype).reshape(shape).astype(np.dtype(dtype).newbyteorder("="))
        except ValueError as error:
            raise _corrupt(path, f"its {name} is {error}") from error


def describe_source(clip: Clip) -> dict[str, Any]:
    """What ties a sidecar to its source."""
    return {
        "path": str(clip.path.absolute()),
        "size_bytes": clip.size_bytes,
        "fingerprint": clip.fingerprint(),
        "width": clip.width,
        "height": clip.height,
        "pix_fmt": clip.pix_fmt,
        "frame_rate": str(clip.frame_rate),
        "duration": clip.duration,
    }


def check_fresh(
    sidecar: Sidecar, path: Path, source: dict[str, Any], model: dict[str, Any] | None, analysis: dict[str, Any]
) -> None:
    """Refuse a sidecar of another source, model or analysis, with the reason. Raises `SidecarError`.

    ``analysis`` holds only what the caller insists on; ``model`` is ``None`` where any will do.
    """
    cure = "delete it, or give another --sidecar"
    for key in ("size_bytes", "fingerprint", "width", "height", "pix_fmt", "frame_rate", "duration"):
        if sidecar.source.get(key) != source[key]:
            raise SidecarError(f"{path}: is stale: source {key} was {sidecar.source.get(key)}, is {source[key]}", cure=cure)
    if model is not None and sidecar.model.get("sha256") != model["sha256"]:
        old, new = str(sidecar.model.get("sha256"))[:12], model["sha256"][:12]
        raise SidecarError(f"{path}: is stale: it was made by model {old}, the model now is {new}", cure=cure)
    for key, value in analysis.items():
        if sidecar.analysis.get(key) != value:
            raise SidecarError(f"{path}: was made with {key} {sidecar.analysis.get(key)}, not {value}", cure=cure)
