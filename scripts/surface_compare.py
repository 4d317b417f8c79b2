"""Compare two descriptions that public_surface.py wrote: one line for each difference."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

_GROUPS = ("python", "cli", "exit_codes", "json")
_LONG_TEXT = 60
"""Characters from which two texts are shown as one text with its changes marked."""
_CONTEXT_WORDS = 3
_MOST_CHARACTERS = 300
"""Characters of an object that only one description has; what is longer is cut."""
_ABSENT = object()


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return a line for each difference, group by group; an empty list if the descriptions are equal."""
    groups = [*_GROUPS, *sorted((before.keys() | after.keys()) - set(_GROUPS))]
    lines: list[str] = []
    for group in groups:
        lines += _walk(group, before.get(group, _ABSENT), after.get(group, _ABSENT))
    return lines


def _walk(place: str, before: Any, after: Any) -> Iterator[str]:
    """Yield the differences of two values, each with the place of the innermost value that differs."""
    if before is _ABSENT or after is _ABSENT:
        if before is not after:
            found, where = (after, "after") if before is _ABSENT else (before, "before")
            yield f"{place}: only {where}: {_shortened(_compact(found))}"
    elif isinstance(before, dict) and isinstance(after, dict):
        if before and after and not before.keys() & after.keys():
            yield f"{place}: {_change(before, after)}"  # another kind of object, such as an error in place of a result
            return
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _walk(f"{place} > {key}", before.get(key, _ABSENT), after.get(key, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after) and not _is_flat(before + after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _walk(f"{place} > {number}", old, new)
    elif type(before) is not type(after) or before != after:
        yield f"{place}: {_change(before, after)}"


def _is_flat(values: list[Any]) -> bool:
    """Return whether ``values`` are numbers and short texts only, of which two lists can be compared on one line."""
    return all(len(one) < _LONG_TEXT if isinstance(one, str) else not isinstance(one, dict | list) for one in values)


def _change(before: Any, after: Any) -> str:
    if isinstance(before, list) and isinstance(after, list):
        return _marked([_compact(one) for one in before], [_compact(one) for one in after])
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) >= _LONG_TEXT:
        old, new = before.split(), after.split()
        return _marked(old, new) if old != new else "the same words with other spaces or line breaks"
    return f"{_shortened(_compact(before))} -> {_shortened(_compact(after))}"


def _marked(before: list[str], after: list[str]) -> str:
    """Return the words of both as one line: ``[-removed-]``, ``{+added+}``, and the words next to them."""
    pieces: list[str] = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            words = before[i:j]
            if len(words) > 2 * _CONTEXT_WORDS:
                first, last = i == 0, j == len(before)
                head, tail = [] if first else words[:_CONTEXT_WORDS], [] if last else words[-_CONTEXT_WORDS:]
                words = [*head, "...", *tail]
            pieces += words
            continue
        pieces += [f"[-{' '.join(before[i:j])}-]"] if j > i else []
        pieces += [f"{{+{' '.join(after[k:m])}+}}"] if m > k else []
    return " ".join(pieces)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " ..."
