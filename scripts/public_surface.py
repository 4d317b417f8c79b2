"""Describe everything public of the program in one JSON document, and compare two such documents.

    python scripts/public_surface.py dump OUT.json [--run]
    python scripts/public_surface.py compare BEFORE.json AFTER.json

A refactoring must not change what users see. ``dump`` writes the Python names, the command line and, with ``--run``, the exit
codes and the JSON results of a list of real runs (surface_runs.py; a minute on two idle cores). ``compare`` prints each difference
on a line and exits with status 1 if there is one.

The script describes the package that Python imports: set ``PYTHONPATH`` to a checkout to describe that one. It imports nothing
but ``gpu_saliency`` and ``gpu_saliency.cli``, so it keeps working when other modules move. Make both documents on one machine and
in one environment: sizes and qualities of encodes depend on ffmpeg and on the CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import inspect
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer.main
from surface_compare import differences
from surface_runs import describe_runs

import gpu_saliency
from gpu_saliency.cli import app

_PACKAGE = gpu_saliency.__name__
_BASE_ERROR = gpu_saliency.GpuSaliencyError
_CHECKOUT = Path(gpu_saliency.__file__).resolve().parents[1]
_PUBLIC_SPECIAL_METHODS = frozenset({"__call__", "__enter__", "__exit__", "__getitem__", "__iter__", "__len__"})


def describe_python() -> dict[str, Any]:
    """Describe each name in ``gpu_saliency.__all__``, each error class, and what public functions return."""
    described = {name: _describe_object(getattr(gpu_saliency, name)) for name in gpu_saliency.__all__}
    for error in _subclasses(_BASE_ERROR):
        described.setdefault(error.__name__, _describe_class(error))
    for name in gpu_saliency.__all__:
        value = getattr(gpu_saliency, name)
        if inspect.isfunction(value):
            annotation = inspect.signature(value).return_annotation
            returned = value.__globals__.get(annotation) if isinstance(annotation, str) else annotation
            if inspect.isclass(returned) and _is_ours(returned) and returned.__name__ not in described:
                described[f"{returned.__name__}, returned by {name}"] = _describe_class(returned)
    return described


def _describe_object(value: Any) -> dict[str, Any]:
    if inspect.isclass(value):
        return _describe_class(value)
    if inspect.isfunction(value):
        return {"kind": "function"} | _describe_signature(value)
    return {"kind": type(value).__name__, "value": repr(value)}


def _describe_class(cls: type[Any]) -> dict[str, Any]:
    """Describe bases, constructor or dataclass fields, and members of ``cls``.

    What all errors inherit from `GpuSaliencyError` is described with that class only.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}
    described: dict[str, Any] = {
        "kind": "error" if issubclass(cls, BaseException) else "dataclass" if dataclasses.is_dataclass(cls) else "class",
        "bases": [base.__qualname__ for base in cls.__bases__],
    }
    is_error = issubclass(cls, _BASE_ERROR) and cls is not _BASE_ERROR
    if dataclasses.is_dataclass(cls):
        parameters = cls.__dataclass_params__  # type: ignore[attr-defined]  # the standard library's stubs leave it out
        described["frozen"], described["eq"], described["order"] = parameters.frozen, parameters.eq, parameters.order
        described["slots"] = "__slots__" in vars(cls)
        described["fields"] = {name: _describe_field(field) for name, field in fields.items()}
        described["field_order"] = list(fields)
    elif not is_error or cls.__init__ is not _BASE_ERROR.__init__:
        described["init"] = _describe_signature(cls.__init__)
    return described | _describe_members(cls, skipped=frozenset(fields), skipped_owner=_BASE_ERROR if is_error else None)


def _describe_members(cls: type[Any], *, skipped: frozenset[str], skipped_owner: type[Any] | None) -> dict[str, Any]:
    """Describe public methods, properties and constants of ``cls``, inherited ones too.

    Names in ``skipped`` are left out, and so are methods and properties that ``skipped_owner`` defines: it is described itself.
    """
    methods: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    constants: dict[str, str] = {}
    for attribute in inspect.classify_class_attrs(cls):
        is_public = not attribute.name.startswith("_") or attribute.name in _PUBLIC_SPECIAL_METHODS
        if not is_public or not _is_ours(attribute.defining_class) or attribute.name in skipped:
            continue
        if attribute.defining_class is skipped_owner and attribute.kind != "data":
            continue
        value: Any = attribute.object
        if isinstance(value, property):
            properties[attribute.name] = {"returns": _return_text(value.fget), "writable": value.fset is not None}
        elif isinstance(value, functools.cached_property):
            properties[attribute.name] = {"returns": _return_text(value.func), "writable": False}
        elif attribute.kind == "data":
            constants[attribute.name] = _default_text(value)
        else:
            function = getattr(value, "__func__", value)  # class methods and static methods wrap a function
            methods[attribute.name] = {"kind": attribute.kind} | _describe_signature(function)
    return {"methods": methods, "properties": properties, "constants": constants}


def _describe_field(field: dataclasses.Field[Any]) -> dict[str, Any]:
    default: str | None = None
    if field.default is not dataclasses.MISSING:
        default = _default_text(field.default)
    elif field.default_factory is not dataclasses.MISSING:
        default = f"{_default_text(field.default_factory)}()"
    return {"type": _annotation_text(field.type), "default": default, "init": field.init, "kw_only": field.kw_only is True}


def _describe_signature(function: Any) -> dict[str, Any]:
    """Describe the parameters (without ``self`` and ``cls``) and the return type of ``function``."""
    signature = inspect.signature(function)
    parameters = {name: one for name, one in signature.parameters.items() if name not in ("self", "cls")}
    described = {
        name: {
            "kind": one.kind.name.lower(),
            "default": None if one.default is one.empty else _default_text(one.default),
            "annotation": None if one.annotation is one.empty else _annotation_text(one.annotation),
        }
        for name, one in parameters.items()
    }
    return {"parameters": described, "parameter_order": list(parameters), "returns": _return_text(function)}


def _return_text(function: Any) -> str | None:
    annotation = inspect.signature(function).return_annotation
    return None if annotation is inspect.Signature.empty else _annotation_text(annotation)


def _annotation_text(annotation: Any) -> str:
    """Return an annotation as its source has it; modules that postpone annotations keep them as text."""
    if isinstance(annotation, str):
        return annotation
    return annotation.__qualname__ if inspect.isclass(annotation) else inspect.formatannotation(annotation)


def _default_text(value: Any) -> str:
    """Return a default as text without memory addresses, module names and the checkout's path, all of which may change."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return value.__qualname__
    return repr(value).replace(str(_CHECKOUT), "CHECKOUT")


def _subclasses(cls: type[Any]) -> Iterable[type[Any]]:
    """Yield all public subclasses of ``cls`` in the package; no import of their module is needed."""
    for one in cls.__subclasses__():
        if _is_ours(one) and not one.__name__.startswith("_"):
            yield one
            yield from _subclasses(one)


def _is_ours(cls: type[Any]) -> bool:
    return cls.__module__.split(".")[0] == _PACKAGE


def describe_cli() -> dict[str, Any]:
    """Describe the program's own options and each verb: parameters, help text and epilog."""
    program: Any = typer.main.get_command(app)
    described = {"(program)": _describe_command(program) | {"verb_order": list(program.commands)}}
    return described | {name: _describe_command(command) for name, command in program.commands.items()}


def _describe_command(command: Any) -> dict[str, Any]:
    context = command.make_context(command.name, [], resilient_parsing=True)
    parameters = {_parameter_name(one): _describe_parameter(one, context) for one in command.params}
    return {
        "help": command.help,
        "short_help": command.short_help,
        "epilog": command.epilog,
        "hidden": command.hidden,
        "deprecated": bool(command.deprecated),
        "no_args_is_help": command.no_args_is_help,
        "panel": _plain(getattr(command, "rich_help_panel", None)),
        "parameters": parameters,
        "parameter_order": list(parameters),
    }


def _parameter_name(parameter: Any) -> str:
    """Return the name that users know: the first long flag, or an argument's name in capitals."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return str(next((flag for flag in parameter.opts if flag.startswith("--")), parameter.opts[0]))


def _describe_parameter(parameter: Any, context: Any) -> dict[str, Any]:
    """Describe one option or argument; ``shown_name`` and ``shown_notes`` are what the help page prints of it."""
    help_text = parameter.help or ""
    shown_name, shown_text = parameter.get_help_record(context) or ("", "")
    return {
        "flags": list(parameter.opts),
        "secondary_flags": list(parameter.secondary_opts),
        "is_argument": parameter.param_type_name == "argument",
        "required": parameter.required,
        "default": _plain(parameter.default),
        "show_default": _plain(parameter.show_default),
        "shown_name": shown_name,
        "shown_notes": shown_text.removeprefix(help_text).strip(),
        "type": _type_name(parameter),
        "choices": _choices(parameter),
        "range": [getattr(parameter, "min", None), getattr(parameter, "max", None)],
        "nargs": parameter.nargs,
        "multiple": getattr(parameter, "multiple", False),
        "is_flag": getattr(parameter, "is_flag", False),
        "is_eager": parameter.is_eager,
        "hidden": getattr(parameter, "hidden", False),
        "envvar": _plain(parameter.envvar),
        "panel": _plain(getattr(parameter, "rich_help_panel", None)),
        "help": help_text,
    }


def _type_name(parameter: Any) -> str:
    """Return the type to which the command line converts a value; older versions of Typer have no ``type_descriptor``."""
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is None:
        return str(parameter.type.name)
    return _annotation_text(descriptor.annotation)


def _choices(parameter: Any) -> list[str] | None:
    owner = getattr(parameter, "type_descriptor", None) or parameter.type
    choices = getattr(owner, "choices", None)
    return None if choices is None else [str(one) for one in choices]


def _plain(value: Any) -> Any:
    """Return ``value`` if JSON can hold it, else its text; Typer wraps values that nobody set."""
    value = getattr(value, "value", value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def main() -> None:
    """Parse the command line, then write a description or compare two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    dump = verbs.add_parser("dump", help="write the description")
    dump.add_argument("output", type=Path)
    dump.add_argument("--run", action="store_true", help="run the program too, for exit codes and JSON results")
    compare = verbs.add_parser("compare", help="print the differences of two descriptions")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    options = parser.parse_args()
    if options.verb == "compare":
        lines = differences(*(json.loads(path.read_text(encoding="utf-8")) for path in (options.before, options.after)))
        for line in lines:
            print(line)
        sys.exit(1 if lines else 0)
    print(f"describing {_CHECKOUT / _PACKAGE}", file=sys.stderr)
    document = {"python": describe_python(), "cli": describe_cli()}
    if options.run:
        document |= describe_runs(_CHECKOUT)
    options.output.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
