"""Makes the rungs of a ladder from what the command line or a JSON file asks for (`gpu_saliency.rungs`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gpu_saliency.cli.encode_options import parse_bitrate
from gpu_saliency.encode.prepare import EncodeSettings
from gpu_saliency.errors import UsageError
from gpu_saliency.ladder import Rung
from gpu_saliency.rungs import rung_name


def rungs_of(asked: Iterable[Mapping[str, Any]], base: EncodeSettings, stem: str) -> tuple[Rung, ...]:
    """The rungs that were ``asked`` for, each ``base`` with its own settings; ``stem`` begins their names."""
    return tuple(_rung(one, base, stem) for one in asked)


def _rung(asked: Mapping[str, Any], base: EncodeSettings, stem: str) -> Rung:
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
    name = f"{stem}-{rung_name(settings.scale, settings.encoder, base.encoder)}"
    return Rung(str(asked.get("name", name)), settings)


_TYPES: dict[str, Any] = {"crf": (float, int, type(None)), "bitrate": (int, type(None)), "audio_bitrate": int}


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError("is not a number", setting="crf", value=value, cure="such as 23") from None
