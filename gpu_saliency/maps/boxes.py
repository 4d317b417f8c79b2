"""Reads boxes, such as those of faces or text, from a JSON file and draws them as maps. Format: docs/own-maps.md."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import MapsError
from gpu_saliency.maps.given import GivenMaps, Load, Map
from gpu_saliency.source.clip import Clip
from gpu_saliency.untrusted.regular import read_regular
from gpu_saliency.untrusted.strict_json import parse_json

_MAX_BYTES = 1 << 26
_MAX_FRAME = 1 << 27
_MAX_AT_ONCE = 1024
"""Boxes in one frame; each is drawn on its own."""
_UNITS = ("pixels", "fractions")
_KEYS = {"unit", "width", "height", "soft_edge", "frames", "boxes"}
_BOX_KEYS = {"frame", "start", "end", "x", "y", "w", "h", "weight", "label"}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that viewers look at, in frames ``[start, end)``."""

    start: int
    end: float
    """The frame after its last one; infinite for one that stays to the end."""
    x: float
    """Left edge, in the file's unit; ``y``, the upper edge, ``w`` and ``h`` likewise."""
    y: float
    w: float
    h: float
    weight: float = 1.0
    """Its saliency, 0..1."""


@dataclass(frozen=True, slots=True)
class BoxFile:
    """What a file of boxes says."""

    boxes: tuple[Box, ...]
    unit: str = "pixels"
    size: tuple[float, float] | None = None
    """Width and height of the picture that pixels refer to; ``None``: those of the clip, upright."""
    soft_edge: float = 0.0
    """Width, in the unit, of the margin in which saliency falls to 0; of fractions one of the picture's height."""
    frames: tuple[int, ...] | None = None
    """The frames that were examined, where each box has one; ``None`` where boxes span frames."""


def read_boxes(setting: str, path: Path) -> GivenMaps:
    """The boxes of a JSON file as maps. Raises `MapsError`."""
    try:
        found = parse_boxes(parse_json(read_regular(path, _MAX_BYTES)))
    except (OSError, ValueError, OverflowError) as error:
        cure = 'give {"boxes": [{"frame": 0, "x": 10, "y": 20, "w": 64, "h": 64}, ...]}; see docs/own-maps.md'
        problem = f"is no file of boxes: {_first_line(error)}"
        raise MapsError(problem, setting=setting, value=path, cure=cure) from error
    count = None if found.frames is None else len(found.frames)
    return GivenMaps(
        setting,
        path,
        ("saliency",),
        lambda clip: _maps(setting, path, found, clip),
        count=count,
        numbers=found.frames,
        endless=found.frames is None,
    )


def parse_boxes(facts: Any) -> BoxFile:
    """Check what a JSON file of any origin holds. Raises `ValueError`."""
    whole = {"boxes": facts} if isinstance(facts, list) else facts
    if not isinstance(whole, dict) or not isinstance(whole.get("boxes"), list):
        raise ValueError("it is neither a list of boxes nor an object with one")
    _refuse_unknown(whole, _KEYS, "the file")
    unit = whole.get("unit", "pixels")
    if unit not in _UNITS:
        raise ValueError(f"unit is {str(unit)[:40]!r}, not {' or '.join(_UNITS)}")
    sides = [None if whole.get(key) is None else _number(whole, key, "the file", 1, 1e6) for key in ("width", "height")]
    if (sides[0] is None) != (sides[1] is None):
        raise ValueError("width and height belong together")
    raw = whole["boxes"]
    marks = [one for one in raw if isinstance(one, dict) and "frame" in one]
    if marks and len(marks) != len(raw):
        raise ValueError("some boxes have a frame and some have none; give all of them one, or start and end")
    boxes = tuple(box for number, one in enumerate(raw) if (box := _box(one, f"box {number}")) is not None)
    return BoxFile(
        boxes,
        unit,
        None if sides[0] is None or sides[1] is None else (sides[0], sides[1]),
        _number(whole, "soft_edge", "the file", 0, 1e5, 0.0),
        _examined(whole.get("frames"), marks, bool(raw)),
    )


def _examined(listed: Any, marks: list[dict[str, Any]], has_boxes: bool) -> tuple[int, ...] | None:
    """The frames that the boxes name, and those that the file lists besides."""
    if listed is None:
        return tuple(sorted({int(one["frame"]) for one in marks})) or None
    if not isinstance(listed, list) or not listed:
        raise ValueError("frames is not a list of frame numbers")
    if has_boxes and not marks:
        raise ValueError("frames lists what was examined, so each box needs a frame")
    frames = {_frame({"frame": one}, "frame", "frames") for one in listed}
    if not {int(one["frame"]) for one in marks} <= frames:
        raise ValueError("a box has a frame that frames does not list")
    return tuple(sorted(frames))


def _box(one: Any, where: str) -> Box | None:
    """A box; ``None`` for an entry that only names a frame without any."""
    if not isinstance(one, dict):
        raise ValueError(f"{where} is not an object")
    _refuse_unknown(one, _BOX_KEYS, where)
    if "frame" in one:
        if "start" in one or "end" in one:
            raise ValueError(f"{where} has a frame, so it needs neither start nor end")
        start = _frame(one, "frame", where)
        end: float = start + 1
        if not one.keys() & {"x", "y", "w", "h"}:
            return None
    else:
        start = _frame(one, "start", where) if "start" in one else 0
        end = math.inf if one.get("end") is None else _frame(one, "end", where)
    if end <= start:
        raise ValueError(f"{where} ends with frame {end}, before its start {start}")
    x, y = (_number(one, key, where, -1e6, 1e6) for key in ("x", "y"))
    w, h = (_number(one, key, where, 0, 1e6) for key in ("w", "h"))
    if not w or not h:
        raise ValueError(f"{where} has no area")
    return Box(start, end, x, y, w, h, _number(one, "weight", where, 0, 1, 1.0))


def _refuse_unknown(facts: dict[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(map(str, facts.keys() - known)):
        raise ValueError(f"{where} has an unknown key {unknown[0][:40]!r}; known are {', '.join(sorted(known))}")


def _number(facts: dict[str, Any], key: str, where: str, low: float, high: float, default: float | None = None) -> float:
    value = facts.get(key, default)
    if value is None or type(value) not in (int, float) or not low <= value <= high:  # also refuses nan
        raise ValueError(f"{key} of {where} is {str(value)[:40]!r}, not a number from {low:g} to {high:g}")
    return float(value)


def _frame(facts: dict[str, Any], key: str, where: str) -> int:
    value = facts[key]
    if type(value) is not int or not 0 <= value <= _MAX_FRAME:
        raise ValueError(f"{key} of {where} is {str(value)[:40]!r}, not a frame number from 0")
    return value


def _maps(setting: str, path: Path, found: BoxFile, clip: Clip) -> Iterator[Load]:
    """The map of each examined frame, or of every frame without end."""
    draw = _drawer(setting, path, found, clip)
    if _most_at_once(found.boxes) > _MAX_AT_ONCE:
        problem = f"has more than {_MAX_AT_ONCE} boxes in one frame"
        raise MapsError(problem, setting=setting, value=path, cure="give maps as pictures")
    if found.frames is not None:
        of_frame = defaultdict(list)
        for box in found.boxes:
            of_frame[box.start].append(box)
        for frame in found.frames:
            yield lambda boxes=of_frame[frame]: {"saliency": draw(boxes)}  # type: ignore[misc]  # mypy: no type of a default
        return
    waiting = sorted(found.boxes, key=lambda box: box.start, reverse=True)
    shown: list[Box] = []
    for frame in itertools.count():
        shown = [box for box in shown if box.end > frame]
        while waiting and waiting[-1].start <= frame:
            shown.append(waiting.pop())
        yield lambda boxes=tuple(shown): {"saliency": draw(boxes)}  # type: ignore[misc]


def _most_at_once(boxes: tuple[Box, ...]) -> int:
    """The largest number of boxes in one frame."""
    changes = sorted([(box.start, 1) for box in boxes] + [(box.end, -1) for box in boxes])
    return max(itertools.accumulate(change for _, change in changes), default=0)


def _drawer(setting: str, path: Path, found: BoxFile, clip: Clip) -> Callable[[Any], Map]:
    """A function that draws boxes on the upright picture of ``clip``. Raises `MapsError` where one lies outside of it."""
    width, height = (clip.height, clip.width) if clip.rotation % 180 else (clip.width, clip.height)
    if found.unit == "fractions":
        size, soft = (1.0, 1.0), found.soft_edge * height
    else:
        size = found.size or (width, height)
        soft = found.soft_edge * height / size[1]
    across, down = width / size[0], height / size[1]
    if found.size is not None and found.unit == "pixels" and abs(across / down - 1) > 0.02:
        problem = f"is for {size[0]:g}x{size[1]:g} pixels, another shape than the {width}x{height} of {clip.path}"
        raise MapsError(problem, setting=setting, value=path, cure="give width and height of the picture that the boxes lie on")
    for number, box in enumerate(found.boxes):
        if box.x >= size[0] or box.y >= size[1] or box.x + box.w <= 0 or box.y + box.h <= 0:
            problem = f"box {number} at {box.x:g}, {box.y:g} lies outside of the picture of {size[0]:g}x{size[1]:g} {found.unit}"
            raise MapsError(problem, setting=setting, value=path, cure=f"check its position and the unit, {' or '.join(_UNITS)}")

    def draw(boxes: Any) -> Map:
        canvas = np.zeros((height, width), np.float32)
        for box in boxes:
            rows = box_profile(box.y * down, box.h * down, height, soft)
            cols = box_profile(box.x * across, box.w * across, width, soft)
            (top, bottom), (left, right) = _extent(rows), _extent(cols)
            area = canvas[top:bottom, left:right]
            np.maximum(area, np.float32(box.weight) * np.outer(rows[top:bottom], cols[left:right]), out=area)
        return canvas

    return draw


def box_profile(start: float, length: float, pixels: int, soft: float) -> NDArray[np.float32]:
    """The part of each of ``pixels`` that ``[start, start + length)`` covers, 0..1; it falls to 0 over ``soft`` pixels outside."""
    at = np.arange(pixels, dtype=np.float64)
    covered = np.clip(np.minimum(at + 1, start + length) - np.maximum(at, start), 0, 1)
    if soft > 0:
        centre = at + 0.5
        outside = np.maximum(np.maximum(start - centre, centre - (start + length)), 0)
        covered = np.maximum(covered, np.clip(1 - outside / soft, 0, 1))
    return np.asarray(covered, np.float32)


def _extent(profile: NDArray[np.float32]) -> tuple[int, int]:
    used = np.flatnonzero(profile)
    return (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
