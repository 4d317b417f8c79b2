"""Reads maps from pictures and videos: their grey in full range, 0..1."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from gpu_saliency.errors import MapsError
from gpu_saliency.maps.arrays import open_array
from gpu_saliency.maps.given import HOW_MANY, UNNAMED, GivenMaps, Load, Map
from gpu_saliency.source.clip import Clip, libav_reason
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.formats import open_file
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.untrusted.regular import read_regular

_DECODERS = {
    ".png": "png",
    ".jpg": "mjpeg",
    ".jpeg": "mjpeg",
    ".webp": "webp",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".pgm": "pgm",
}
PICTURE_SUFFIXES = frozenset(_DECODERS)
_GIVE_PICTURES = "give intact grey pictures: " + ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
_MAX_FILE, _MAX_PIXELS = 1 << 28, 1 << 26
"""Largest file of a picture in bytes, and largest picture in pixels: 8192x8192."""
_COLOUR_TOLERANCE = 12
"""Codes of 255 by which R', G' and B' of a grey picture may differ; JPEG rounds them."""


def read_folder(setting: str, path: Path) -> GivenMaps:
    """The pictures and NPY files of a folder, in natural order of their names. Raises `MapsError`."""
    files = map_files(path)
    if not files:
        raise MapsError("holds no picture and no NPY file", setting=setting, value=path, cure=HOW_MANY)
    if len(files) == 1:
        return replace(read_picture(setting, files[0]), path=path)
    return GivenMaps(
        setting,
        path,
        (UNNAMED,),
        lambda _: (_loader(setting, file) for file in files),
        count=len(files),
        numbers=_numbers_with_gaps(files),
        may_be_in_order=True,
    )


def map_files(folder: Path) -> list[Path]:
    """The pictures and NPY files of ``folder``, in natural order; hidden files are none of them."""
    suffixes = PICTURE_SUFFIXES | {".npy"}
    found = (one for one in folder.iterdir() if one.suffix.lower() in suffixes and not one.name.startswith("."))
    return sorted((one for one in found if one.is_file()), key=_natural)


def read_picture(setting: str, path: Path) -> GivenMaps:
    """One picture or two-dimensional NPY file for all frames."""

    def read(_: Clip) -> Iterator[Load]:
        found = _loader(setting, path)()
        return itertools.repeat(lambda: found)

    return GivenMaps(setting, path, (UNNAMED,), read, count=1, endless=True, is_constant=True)


def read_video(setting: str, path: Path) -> GivenMaps:
    """The frames of a video. Raises `SourceError`."""
    clip = probe_clip(path)
    return GivenMaps(setting, path, (UNNAMED,), lambda _: _video_frames(setting, clip))


def _video_frames(setting: str, clip: Clip) -> Iterator[Load]:
    upright, tally = clip.orientation.upright, DecodeTally()
    for frame in decode_frames(clip, tally):
        _check_intact(setting, clip, tally)
        yield lambda frame=frame: {UNNAMED: upright(_grey(frame))}  # type: ignore[misc]  # mypy: no type of a default
    _check_intact(setting, clip, tally)


def _check_intact(setting: str, clip: Clip, tally: DecodeTally) -> None:
    if tally.damage.failed_packets or tally.damage.ended_by:  # skipped frames would shift all maps after them
        problem = f"cannot be decoded after frame {max(tally.frames - 1, 0)}"
        raise MapsError(problem, setting=setting, value=clip.path, cure="give an intact video")


def _loader(setting: str, path: Path) -> Load:
    return lambda: {UNNAMED: _read_file(setting, path)}


def _read_file(setting: str, path: Path) -> Map:
    if path.suffix.lower() == ".npy":
        with open_array(setting, path) as array:
            if len(array.shape) != 2 and array.shape[:1] != (1,):
                raise MapsError(f"has shape {list(array.shape)}", setting=setting, value=path, cure="give [h, w]")
            return next(array.maps())
    try:
        frame = _decode(path)
    except (av.FFmpegError, OSError, StopIteration, ValueError, IndexError) as error:
        problem = f"cannot be read: {libav_reason(error)}"
        raise MapsError(problem, setting=setting, value=path, cure=_GIVE_PICTURES) from error
    if _has_colours(frame):
        cure = "give grey pictures, white where viewers look; a heat map's colours have no order of brightness"
        raise MapsError("is a picture in colour", setting=setting, value=path, cure=cure)
    return _grey(frame)


def _decode(path: Path) -> av.VideoFrame:
    """The picture in ``path``, by the decoder of its suffix, or by what libavformat makes of a file with a wrong one."""
    decoder = av.CodecContext.create(_DECODERS[path.suffix.lower()], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.options = {"max_pixels": str(_MAX_PIXELS)}
    decoder.thread_count = 1  # a container would start threads, and decode twice: four times the time for a picture of 1080p
    try:
        packet = av.Packet(read_regular(path, _MAX_FILE))
        found = [*decoder.decode(packet), *decoder.decode(None)]
    except av.FFmpegError:
        found = []
    if found:
        return found[0]
    with open_file(path, options={"max_pixels": str(_MAX_PIXELS)}) as container:
        return next(container.decode(video=0))


def _has_colours(frame: av.VideoFrame) -> bool:
    if frame.format.name.startswith(("gray", "mono", "ya")):
        return False
    rgb = frame.reformat(format="rgb24").to_ndarray()
    return int((rgb.max(axis=2) - rgb.min(axis=2)).max()) > _COLOUR_TOLERANCE


def _grey(frame: av.VideoFrame) -> Map:
    """Grey of full range, 0..1; transparency is ignored."""
    deep = frame.format.components[0].bits > 8
    grey = frame.reformat(format="gray16le" if deep else "gray", dst_color_range=ColorRange.JPEG)
    scaled: NDArray[np.float32] = grey.to_ndarray().astype(np.float32)
    scaled /= 65535 if deep else 255
    return scaled


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key that sorts ``2.png`` before ``10.png``."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d{1,18})", path.name)]


def _numbers_with_gaps(files: list[Path]) -> tuple[int, ...] | None:
    """The last number in each name, where they rise and leave some out; ``None`` where the files simply follow each other."""
    found = [re.findall(r"\d{1,18}", file.stem) for file in files]
    if not all(found):
        return None
    numbers = tuple(int(pieces[-1]) for pieces in found)
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    return numbers if min(steps) > 0 and steps != {1} else None
