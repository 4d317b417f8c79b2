"""Parses the rungs of a ladder: ``1280x720:crf=23`` on the command line, or a list of objects in a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpu_saliency.cli.encode_options import parse_bitrate
from gpu_saliency.encode.prepare import EncodeSettings
from gpu_saliency.errors import SourceMissingError, UsageError
from gpu_saliency.ladder import Rung
from gpu_saliency.untrusted.regular import read_regular
from gpu_saliency.untrusted.strict_json import parse_json

_KEYS = (
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
_MOST_BYTES = 1_000_000
_EXAMPLE = "such as 1280x720:crf=23, 854:-2:bitrate=900k or source:encoder=libx265"


def rungs_of(texts: list[str], file: Path | None, base: EncodeSettings, stem: str) -> tuple[Rung, ...]:
    """The rungs of the command line and of ``file``, each ``base`` with its own settings; ``stem`` begins their names."""
    asked = [_parsed(text) for text in texts] + ([] if file is None else _read(file))
    return tuple(_rung(one, base, stem) for one in asked)


def _parsed(text: str) -> dict[str, Any]:
    """``SIZE[:KEY=VALUE...]``; a size is ``WxH``, ``W:-2``, ``-2:H`` or ``source``. Raises `UsageError`."""
    words = text.split(":")
    first = next((i for i, word in enumerate(words) if "=" in word), len(words))
    found: dict[str, Any] = {} if words[:first] == ["source"] else {"scale": ":".join(words[:first])}
    for word in words[first:]:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{word} is no KEY=VALUE", setting="rung", value=text, cure=_EXAMPLE)
        found[key.replace("-", "_").replace("acodec", "audio_codec")] = value
    return found


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        found = parse_json(read_regular(file, _MOST_BYTES))
    except FileNotFoundError as error:
        raise SourceMissingError("no such file", setting="rungs", value=file, cure="check the path") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", setting="rungs", value=file, cure="give a JSON list of objects") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UsageError("is no list of objects", setting="rungs", value=file, cure='such as [{"scale": "1280x720", "crf": 23}]')
    return found


def _rung(asked: Mapping[str, Any], base: EncodeSettings, stem: str) -> Rung:
    unknown = next((key for key in asked if key not in _KEYS), None)
    if unknown is not None:
        raise UsageError(f"has no key {unknown}", setting="rung", value=unknown, cure="one of " + ", ".join(_KEYS))
    values = {key: value for key, value in asked.items() if key != "name"}
    for key in ("bitrate", "audio_bitrate"):
        if isinstance(values.get(key), str):
            values[key] = parse_bitrate(values[key], key)
    if "crf" in values:
        values["crf"] = _number(values["crf"])
        values.setdefault("bitrate", None)
    elif values.get("bitrate") is not None:
        values["crf"] = None
    wrong = next((key for key, value in values.items() if not isinstance(value, _TYPES.get(key, str))), None)
    if wrong is not None:
        raise UsageError("has another type than expected", setting=wrong, value=values[wrong], cure="see docs/ladder.md")
    settings = replace(base, **values)
    parts = [stem, (settings.scale or "source").replace(":", "x").replace("x-2", "w").replace("-2x", "h")]
    parts += [] if settings.encoder == base.encoder else [settings.encoder]
    return Rung(str(asked.get("name", "-".join(parts))), settings)


_TYPES: dict[str, Any] = {"crf": (float, int, type(None)), "bitrate": (int, type(None)), "audio_bitrate": int}


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError("is not a number", setting="crf", value=value, cure="such as 23") from None
