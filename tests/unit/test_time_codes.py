"""Start, end and duration as users write them, and the range that they give."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpu_saliency.errors import UsageError
from gpu_saliency.source.time_codes import parse_time, used_range


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", "0"),
        ("90", "90"),
        ("90.5", "90.5"),
        (".5", "0.5"),
        ("7200", "7200"),
        ("1:30", "90"),
        ("01:30.25", "90.25"),
        ("90:00", "5400"),
        ("00:01:30.5", "90.5"),
        ("1:02:03.004", "3723.004"),
        ("100:00:00", "360000"),
    ],
)
def test_each_form_is_seconds_exactly(text: str, seconds: str) -> None:
    """No rounding: 3723.004 is that fraction."""
    assert parse_time(text, "start") == Fraction(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "-1:30", "1:60", "1:2:60", "1:60:00", "1:2:3:4", "1e3", "nan", "inf", "1,5", "\u0663", "1s"]
)
def test_other_texts_are_errors(text: str) -> None:
    """Also negative times, and minutes or seconds above 59 after a colon."""
    with pytest.raises(UsageError, match="start"):
        parse_time(text, "start")


def test_the_range_is_start_and_duration() -> None:
    """A duration of 0 goes to the clip's end; 1.1 - 0.1 is 1."""
    assert used_range(None, None, None) == used_range(None, None, "0") == (0.0, 0.0)
    assert used_range("1:00", None, "5") == (60.0, 5.0)
    assert used_range("1:00", None, "1:05.5") == (60.0, 65.5)
    assert used_range(None, None, "00:01:30.250") == (0.0, 90.25)
    assert used_range(None, "1:30", "0.0") == (0.0, 90.0)
    assert used_range("0.1", "1.1", None) == (0.1, 1.0)


@pytest.mark.parametrize(
    ("start", "end", "duration"),
    [("1", "1", None), ("2", "0:01", "0"), (None, "0", None), (None, "3", "2"), (None, None, "-1"), (None, None, "1e3")],
)
def test_contradictions_are_errors(start: str | None, end: str | None, duration: str | None) -> None:
    """An end that is not after the start, an end beside a duration, and a duration that is no time."""
    with pytest.raises(UsageError):
        used_range(start, end, duration)
