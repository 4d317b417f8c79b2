"""Option groups for Typer: a dataclass declares options once, for every command that has it as a parameter.

A field of a group may be a group itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_type_hints

from gpu_saliency.errors import as_text


def with_groups(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for Typer that has the fields of each dataclass parameter of ``command`` as options.

    Options keep the order of the signature, and of the fields inside a group. The returned function makes an instance of each
    dataclass and calls ``command``.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        annotation = hints[parameter.name]
        if is_dataclass(annotation):
            assert isinstance(annotation, type)
            groups[parameter.name] = annotation
            options += _options_of(annotation)
        else:
            options.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation))

    @functools.wraps(command)
    def call(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = make_group(group, given)
        return command(**given)

    call.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    del call.__wrapped__  # Typer would read the signature of the wrapped function
    call.__annotations__ = {option.name: option.annotation for option in options}
    return call


def make_group(group: type[Any], given: dict[str, Any]) -> Any:
    """Make an instance of ``group`` of the values in ``given``, which are taken out of it."""
    hints = get_type_hints(group)
    values = {
        field.name: make_group(hints[field.name], given) if is_dataclass(hints[field.name]) else given.pop(field.name)
        for field in fields(group)
    }
    return group(**values)


def changed_arguments(group: Any) -> list[tuple[str, str]]:
    """Return flag and value of each option of ``group`` that is not at its default, in the order of the fields."""
    hints = get_type_hints(type(group), include_extras=True)
    changed = []
    for field in fields(group):
        value = getattr(group, field.name)
        if is_dataclass(value):
            changed += changed_arguments(value)
        elif value != _default_of(field):
            changed.append((flag_of(field, hints[field.name]), as_text(value)))
    return changed


def flags_of(group: type[Any]) -> list[str]:
    """The flags of all options of ``group``."""
    hints = get_type_hints(group, include_extras=True)
    flags = []
    for field in fields(group):
        nested = hints[field.name]
        is_nested = isinstance(nested, type) and is_dataclass(nested)
        flags += flags_of(nested) if is_nested else [flag_of(field, nested)]
    return flags


def _options_of(group: type[Any]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        annotation = hints[field.name]
        if isinstance(annotation, type) and is_dataclass(annotation):
            yield from _options_of(annotation)
            continue
        yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=_default_of(field), annotation=annotation)


def _default_of(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return inspect.Parameter.empty if field.default_factory is MISSING else field.default_factory()


def flag_of(field: Field[Any], annotation: Any) -> str:
    """Return the flag that the option declares, or the flag that Typer makes from the field's name."""
    # Inside Annotated, the first flag is the argument of Option() for the parameter "default".
    declared = [
        flag for option in getattr(annotation, "__metadata__", ()) for flag in (option.default, *(option.param_decls or ()))
    ]
    return next((flag for flag in declared if isinstance(flag, str)), "--" + field.name.replace("_", "-"))
