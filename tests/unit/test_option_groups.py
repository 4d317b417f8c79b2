"""The fields of an option group become options of each verb that takes the group."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
import typer

from gpu_saliency.cli.option_groups import changed_arguments, flags_of, with_groups


@dataclass(frozen=True, kw_only=True)
class Group:
    size: Annotated[int, typer.Option(help="Size.")]
    word: Annotated[str | None, typer.Option("--the-word")] = None
    names: Annotated[list[str], typer.Option()] = field(default_factory=lambda: ["a", "b"])
    is_fast: Annotated[bool, typer.Option("--fast")] = False


@dataclass(frozen=True, kw_only=True)
class Plain:
    frame_rate: float = 24.0
    word: Annotated[str | None, typer.Option("--the-word")] = None


@dataclass(frozen=True, kw_only=True)
class Rate:
    frame_rate: float = 24.0


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Group
    rate: Rate
    number: Annotated[int, typer.Option()] = 2


def parse(*arguments: str) -> dict[str, Any]:
    """What a command with the group gets for these arguments."""
    got: dict[str, Any] = {}

    @with_groups
    def command(first: Annotated[int, typer.Option()] = 1, *, group: Group, last: Annotated[int, typer.Option()] = 2) -> None:
        got.update(first=first, group=group, last=last)

    app = typer.Typer()
    app.command()(command)
    app(list(arguments), standalone_mode=False)
    return got


def test_the_command_gets_the_group_as_one_object() -> None:
    got = parse("--size", "3", "--the-word", "hello", "--fast", "--last", "7")
    assert got == {"first": 1, "group": Group(size=3, word="hello", names=["a", "b"], is_fast=True), "last": 7}


def test_a_group_may_hold_groups() -> None:
    got: list[Outer] = []

    @with_groups
    def command(*, outer: Outer) -> None:
        got.append(outer)

    app = typer.Typer()
    app.command()(command)
    app(["--size", "3", "--frame-rate", "5", "--number", "4"], standalone_mode=False)
    assert got == [Outer(inner=Group(size=3), rate=Rate(frame_rate=5.0), number=4)]
    assert changed_arguments(got[0]) == [("--size", "3"), ("--frame-rate", "5"), ("--number", "4")]
    assert flags_of(Outer) == ["--size", "--the-word", "--names", "--fast", "--frame-rate", "--number"]


def test_a_field_without_default_is_required() -> None:
    with pytest.raises(Exception, match="size"):
        parse("--last", "7")


def test_default_factories_make_a_default() -> None:
    assert parse("--size", "3")["group"].names == ["a", "b"]
    assert parse("--size", "3", "--names", "c")["group"].names == ["c"]


def test_options_stand_where_the_group_stands() -> None:
    @with_groups
    def command(*, first: int = 1, group: Group, last: int = 2) -> None:
        """Do something."""

    assert list(inspect.signature(command).parameters) == ["first", "size", "word", "names", "is_fast", "last"]
    assert command.__doc__ == "Do something."


def test_changed_arguments_repeat_what_differs_from_the_defaults() -> None:
    assert changed_arguments(Plain()) == []
    assert changed_arguments(Plain(frame_rate=12.50, word="x")) == [("--frame-rate", "12.5"), ("--the-word", "x")]
