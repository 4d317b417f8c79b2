"""How the rungs of a ladder are written: as text, ``1280x720:crf=23``, or as objects, ``{"scale": "1280x720", "crf": 23}``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_saliency.errors import SourceMissingError, UsageError

KEYS = (
    "name",
    "scale",
    "crop",
    "encoder",
    "preset",
    "crf",
    "bitrate",
    "encoder_params",
    "output_pix_fmt",
    "audio_codec",
    "audio_bitrate",
)
"""What a rung may say; all else it takes from the settings of the whole ladder."""
MOST_RUNGS = 64
DIFFER = "key_frames_differ"
"""The evidence of an error that another try does not mend: the outputs of a ladder have key frames at different times."""
_MOST_BYTES = 1_000_000
_TEXT_CURE = "such as 1280x720:crf=23, 854:-2:bitrate=900k or source:encoder=libx265"
_OBJECT_CURE = 'such as [{"scale": "1280x720", "crf": 23}]'
_BETWEEN = re.compile(r"[\s;]+")
_SPELLINGS = {"acodec": "audio_codec"}


def parse_rung(text: str) -> dict[str, Any]:
    """Read ``SIZE[:KEY=VALUE...]``; a size is ``WxH``, ``W:-2``, ``-2:H`` or ``source``. Raises `UsageError`."""
    words = text.split(":")
    first = next((i for i, word in enumerate(words) if "=" in word), len(words))
    found: dict[str, Any] = {} if words[:first] == ["source"] else {"scale": ":".join(words[:first])}
    for word in words[first:]:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{word} is no KEY=VALUE", setting="rung", value=text, cure=_TEXT_CURE)
        found[key] = value
    return checked_rung(found)


def checked_rung(asked: Mapping[str, Any]) -> dict[str, Any]:
    """``asked`` with its keys as in `KEYS`. Raises `UsageError` for other keys, and for values that are no text or number."""
    found: dict[str, Any] = {}
    for given, value in asked.items():
        key = given.strip().removeprefix("--").replace("-", "_")
        key = _SPELLINGS.get(key, key)
        if key not in KEYS:
            raise UsageError(f"has no key {given}", setting="rung", value=given, cure="one of " + ", ".join(KEYS))
        if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
            raise UsageError(f"{given} is neither text nor a number", setting="rung", value=str(value), cure=_OBJECT_CURE)
        if value is not None:
            found[key] = value
    return found


def read_rungs(given: object) -> list[dict[str, Any]]:
    """Read the rungs of a job: text with several of them, an object, or a list of texts and objects.

    In text they are separated by spaces or ``;``; text that begins with ``[`` is a list as JSON. Raises `UsageError`.
    """
    if isinstance(given, str):
        if not given.lstrip().startswith("["):
            given = [word for word in _BETWEEN.split(given) if word]
        else:
            from gpu_saliency.untrusted.strict_json import parse_json  # the help needs neither

            try:
                given = parse_json(given.encode())
            except ValueError as error:
                raise UsageError(f"is not JSON: {error}", setting="rungs", value=given, cure=_OBJECT_CURE) from None
    asked: Sequence[object] = given if isinstance(given, list) else [given]
    if not 1 <= len(asked) <= MOST_RUNGS:
        raise UsageError(f"has {len(asked)} outputs", setting="rungs", value=None, cure=f"give 1 to {MOST_RUNGS}, {_TEXT_CURE}")
    return [_read_one(one) for one in asked]


def _read_one(one: object) -> dict[str, Any]:
    if isinstance(one, str):
        return parse_rung(one)
    if isinstance(one, Mapping):
        return checked_rung(one)
    raise UsageError("is neither text nor an object", setting="rung", value=str(one), cure=f"{_TEXT_CURE}; {_OBJECT_CURE}")


def read_rungs_file(file: Path) -> list[dict[str, Any]]:
    """The rungs in a JSON file, a list of objects. Raises `SourceMissingError` or `UsageError`."""
    from gpu_saliency.untrusted.regular import read_regular
    from gpu_saliency.untrusted.strict_json import parse_json

    try:
        found = parse_json(read_regular(file, _MOST_BYTES))
    except FileNotFoundError as error:
        raise SourceMissingError("no such file", setting="rungs", value=file, cure="check the path") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", setting="rungs", value=file, cure="give a JSON list of objects") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UsageError("is no list of objects", setting="rungs", value=file, cure=_OBJECT_CURE)
    return [checked_rung(one) for one in found]


def rung_name(scale: str | None, encoder: str, usual: str) -> str:
    """The name of a rung that has none: its size, such as ``1280x720`` or ``1280w``, with an encoder that is not the ``usual``."""
    size = (scale or "source").replace(":", "x").replace("x-2", "w").replace("-2x", "h")
    return size if encoder == usual else f"{size}-{encoder}"
