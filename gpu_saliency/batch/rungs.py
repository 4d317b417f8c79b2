"""Makes the outputs of a job that is a ladder from the rungs that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpu_saliency.batch.job import Options, RungSpec, merged
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.rungs import rung_name

_FLAGS = {"audio_codec": "acodec"}
"""Keys of a rung whose option of ``encode`` has another name."""
_DEFAULT_ENCODER = "libx264"


def make_rungs(
    asked: Sequence[Mapping[str, Any]], shared: Options, name_output: Callable[[str, Options], str]
) -> tuple[RungSpec, ...]:
    """The outputs of a ladder with the options ``shared``.

    ``name_output`` gives the path of a rung's output by its name and all its options. Raises `UsageError` for names that no file
    can have, and for rungs with the same name or output.
    """
    made: list[RungSpec] = []
    usual = str(shared.get("encoder", _DEFAULT_ENCODER))
    for one in asked:
        own = {_FLAGS.get(key, key.replace("_", "-")): _text(value) for key, value in one.items() if key != "name"}
        options = merged(shared, own)
        name = _text(one.get("name") or rung_name(_given(options, "scale"), _given(options, "encoder") or usual, usual))
        if not name.isprintable() or "/" in name or name in (".", ".."):
            raise UsageError("is no name of a file", setting="rung", value=name, cure="give a name without a folder")
        made.append(RungSpec(name, name_output(name, options), own))
    for number, rung in enumerate(made):
        for other in made[:number]:
            if rung.name == other.name:
                cure = "give rungs of different sizes, or a name to each"
                raise UsageError(f"two are named {rung.name}", setting="rung", value=rung.name, cure=cure)
            if rung.output == other.output:
                problem = f"the rungs {other.name} and {rung.name} have the same output {rung.output}"
                raise UsageError(problem, cure=f"use {{rung}} in {setting('name')}, or in the output of the job")
    return tuple(made)


def _given(options: Options, name: str) -> str | None:
    value = options.get(name)
    return value if isinstance(value, str) else None


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
