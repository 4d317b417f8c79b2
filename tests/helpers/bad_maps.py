"""Given maps that the program must refuse, as data for the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_input import Arguments, Case, clip_arguments
from clips import ffmpeg, make_clip

from gpu_saliency.draw.canvas import png_bytes

FRAMES, SIZE = 12, (160, 96)
"""Of the clip of `clip_arguments`; width and height."""


def grey_picture(path: Path, value: int, size: tuple[int, int] = SIZE) -> Path:
    """A picture of one grey; ``size`` is width and height."""
    path.write_bytes(png_bytes(np.full((size[1], size[0]), value, np.uint8)))
    return path


def picture_folder(folder: Path, count: int, value: int = 255, size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir()
    for number in range(count):
        grey_picture(folder / f"{number:05}.png", value, size)
    return folder


def _maps(make: Callable[[Path], Path], *flags: object) -> Callable[[Path], Arguments]:
    return lambda folder: [*clip_arguments(folder), "--maps", make(folder), *flags]


def _array(values: object, **more: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        np.savez(folder / "maps.npz", saliency=np.asarray(values), **more)  # type: ignore[arg-type]
        return folder / "maps.npz"

    return make


def _junk(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "maps").mkdir()
        (folder / "maps" / name).write_bytes(content)
        return folder / "maps"

    return make


def _late_junk(folder: Path) -> Path:
    made = picture_folder(folder / "maps", FRAMES)
    (made / "00009.png").write_bytes((made / "00009.png").read_bytes()[:40])
    return made


def _video(seconds: float) -> Callable[[Path], Path]:
    return lambda folder: make_clip(folder / "maps.mkv", seconds=seconds)


def _truncated(folder: Path) -> Path:
    """H.264 whose last third is overwritten with zeros."""
    path = make_clip(folder / "whole.mkv", seconds=0.5)
    ffmpeg("-i", path, "-c", "copy", "-bsf:v", "noise=amount='if(gt(n,6),3,0)'", folder / "maps.mkv")
    return folder / "maps.mkv"


def _boxes(facts: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "boxes.json").write_text(json.dumps(facts))
        return folder / "boxes.json"

    return make


def _sparse(folder: Path) -> Path:
    made = folder / "maps"
    made.mkdir()
    for number in (0, 4, 9):
        grey_picture(made / f"{number}.png", 255)
    return made


ONES = np.ones((FRAMES, 3, 5), np.float32)
BOX = {"x": 0, "y": 0, "w": 16, "h": 16}
CASES = [
    Case("missing", _maps(lambda folder: folder / "no"), 66, "no: no such file or folder"),
    Case("empty folder", _maps(lambda folder: picture_folder(folder / "maps", 0)), 65, "maps: holds no picture"),
    Case("no picture", _maps(_junk("0.png", b"hello")), 65, "0.png: cannot be read"),
    Case("a damaged picture later on", _maps(_late_junk), 65, "00009.png: cannot be read"),
    Case("too few pictures", _maps(lambda folder: picture_folder(folder / "maps", 11)), 65, "has 11 maps for 12 frames"),
    Case("too many pictures", _maps(lambda folder: picture_folder(folder / "maps", 25)), 65, "has 25 maps for 12 frames"),
    Case(
        "another shape", _maps(lambda folder: picture_folder(folder / "maps", 12, size=(96, 96))), 65, "96x96 pixels, another shape"
    ),
    Case("masks of 0 and 1", _maps(lambda folder: picture_folder(folder / "maps", 12, 1)), 65, "its brightest value is 1 of 255"),
    Case("nan", _maps(_array(ONES * np.nan)), 65, "map 0 has a value that is negative or no number"),
    Case("negative", _maps(_array(-ONES)), 65, "map 0 has a value that is negative"),
    Case("above 1", _maps(_array(ONES * 7)), 65, "has the value 7, above 1"),
    Case("too few arrays", _maps(_array(ONES[:4])), 65, "has 4 maps for 12 frames"),
    Case("four dimensions", _maps(_array(ONES[None])), 65, "saliency has shape [1, 12, 3, 5] of float32"),
    Case("pickled", _maps(_array(np.array([{}], object))), 65, "of object"),
    Case("frames beyond the clip", _maps(_array(ONES[:2], frames=[3, 50])), 65, "has a map for frame 50, the clip has 12 frames"),
    Case("a short video", _maps(_video(0.25)), 65, "has 6 maps for 12 frames"),
    Case("a long video", _maps(_video(1)), 65, "has 24 maps for 12 frames"),
    Case("a damaged video", _maps(_truncated), 65, "maps.mkv: "),
    Case("no video", _maps(lambda folder: _junk("a.mkv", b"x" * 99)(folder) / "a.mkv"), 65, "a.mkv: is not a video"),
    Case("boxes without a size", _maps(_boxes([{"x": 1, "y": 1}])), 65, "w of box 0"),
    Case(
        "boxes beyond the clip", _maps(_boxes([{**BOX, "frame": 2}, {**BOX, "frame": 99}])), 65, "map for frame 99, the clip has 12"
    ),
    Case(
        "a model too", _maps(_sparse, "--saliency-model", "saliency_fast_v3"), 64, "contradicts --saliency-model saliency_fast_v3"
    ),
    Case("a GPU too", _maps(_sparse, "--device", "cuda"), 64, "contradicts --device: no model runs"),
    Case("unknown kind", _maps(_sparse, "--maps-kind", "faces"), 64, "--maps-kind faces: unknown"),
    Case("a kind that is not there", _maps(_array(ONES), "--maps-kind", "gaze"), 65, "holds no gaze, only saliency"),
    Case(
        "a kind of nothing", lambda folder: [*clip_arguments(folder), "--maps-kind", "gaze"], 64, "--maps-kind gaze: has no effect"
    ),
]
