"""`read_maps`: opens the maps that a user gives, whatever form they have; one reader for encodes, previews and scores."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gpu_saliency.errors import GpuSaliencyError, MapsError, SourceMissingError
from gpu_saliency.maps.arrays import read_array_file
from gpu_saliency.maps.boxes import read_boxes
from gpu_saliency.maps.given import GivenMaps
from gpu_saliency.maps.pictures import PICTURE_SUFFIXES, map_files, read_folder, read_picture, read_video
from gpu_saliency.untrusted.regular import check_regular, open_regular

_CHUNK = 1 << 20


def read_maps(setting: str, path: Path) -> GivenMaps:
    """Open a folder of pictures, a picture, an NPZ or NPY file, a JSON file of boxes, or a video.

    Raises `SourceMissingError`, `SourceError` or `MapsError`.
    """
    if not path.exists():
        raise SourceMissingError("no such file or folder", setting=setting, value=path, cure="check the path")
    try:
        if path.is_dir():
            return read_folder(setting, path)
        check_regular(path)
        suffix = path.suffix.lower()
        if suffix in (".npz", ".npy"):
            return read_array_file(setting, path)
        if suffix == ".json":
            return read_boxes(setting, path)
        return read_picture(setting, path) if suffix in PICTURE_SUFFIXES else read_video(setting, path)
    except PermissionError as error:
        raise MapsError("cannot be read: permission denied", setting=setting, value=path, cure="check its permissions") from error
    except OSError as error:
        if isinstance(error, GpuSaliencyError):
            raise
        raise MapsError(f"cannot be read: {error.strerror}", setting=setting, value=path, cure="give a regular file") from error


def hash_maps(setting: str, path: Path) -> str:
    """SHA-256, hexadecimal, of a file, or of the names and contents of all maps in a folder. Raises `MapsError`."""
    digest = hashlib.sha256()
    try:
        for file in map_files(path) if path.is_dir() else [path]:
            if path.is_dir():
                digest.update(f"{len(file.name.encode())} {file.name} {file.stat().st_size}\n".encode())
            with open_regular(file) as opened:
                while chunk := opened.read(_CHUNK):
                    digest.update(chunk)
    except FileNotFoundError as error:
        raise SourceMissingError("no such file or folder", setting=setting, value=path, cure="check the path") from error
    except (OSError, ValueError) as error:
        raise MapsError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            setting=setting,
            value=path,
            cure="check its permissions",
        ) from error
    return digest.hexdigest()
