"""Strict JSON of any origin: parsing with bounds, and `check_shape`, the one check of parsed JSON against a type."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from typing import Any, TypeVar

import msgspec

Shape = TypeVar("Shape")

MAX_DEPTH = 16
_MAX_DIGITS = 30
# The text is checked before it is parsed: Fraction("1e999999999") would compute a number of a billion digits.
_FRACTION = re.compile(r"[0-9]{1,18}(/[0-9]{1,18})?")
# Bytes of a file name that is not UTF-8 are U+DC80 to U+DCFF in Python; other surrogates can be neither printed nor written.
_UNUSABLE = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")


def parse_json(data: bytes) -> Any:
    """Parse UTF-8 JSON. Raises `ValueError` for everything that JSON does not allow or that another reader may read differently.

    Refused are NaN and infinities, numbers of more than 30 digits or beyond the range of a float, duplicate keys, more than 16
    levels, NUL characters and lone surrogates.
    """
    try:
        found = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep") from None
    _check_values(found)
    return found


def check_shape(facts: Any, shape: type[Shape]) -> Shape:
    """Convert parsed JSON to ``shape``, a dataclass or another type that msgspec knows, or `Fraction` as text.

    Raises `ValueError` where a key is missing, of another type or out of range; the text names it, such as ``$.source.width``.
    """
    try:
        return msgspec.convert(facts, shape, dec_hook=_decode_special)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def parse_fraction(text: str) -> Fraction:
    """Parse ``24`` or ``30000/1001``, a number above 0. Raises `ValueError`."""
    if not _FRACTION.fullmatch(text) or int(text.partition("/")[2] or 1) == 0 or (value := Fraction(text)) <= 0:
        raise ValueError(f"{text[:40]!r} is not a fraction above 0")
    return value


def _decode_special(kind: type, value: Any) -> Any:
    if kind is Fraction and isinstance(value, str):
        return parse_fraction(value)
    raise ValueError(f"{str(value)[:40]!r} is not a {kind.__name__}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("has a key twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text) if len(text) <= 2 * _MAX_DIGITS else math.nan
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value


def _check_values(found: Any) -> None:
    """Raise `ValueError` for too many levels, and for texts that cannot be printed or be a path."""
    level = [found]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [*one, *one.values()]
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str) and _UNUSABLE.search(one):
                raise ValueError("a text has a character that cannot be used")
        level = inner
    if level:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
