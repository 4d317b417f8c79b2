"""Commands for Typer whose help shows switches without a type, ``--help`` beside ``--json``, and a usage line ``[IN] [OUT]``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

_RUN = "Run"


class Command(TyperCommand):
    """A command of the program."""

    def get_help_option(self, ctx: Any) -> Any:
        """``--help``, in the panel of ``--json`` and ``--quiet``."""
        option: Any = super().get_help_option(ctx)
        if option is not None:
            option.rich_help_panel = _RUN
        return option

    def get_params(self, ctx: Any) -> Any:
        """The options and arguments; those that take no value show no type."""
        return _without_types(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The words of the usage line: ``[OPTIONS] FILE [OUT]``."""
        arguments: list[Any] = [one for one in self.params if one.param_type_name == "argument"]
        return [self.options_metavar or "", *(_in_usage(one) for one in arguments)]


class Group(TyperGroup):
    """The program."""

    def get_params(self, ctx: Any) -> Any:
        """The options; those that take no value show no type."""
        return _without_types(super().get_params(ctx))


def _without_types(params: Any) -> Any:
    for one in params:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return params


def _in_usage(argument: Any) -> str:
    name = argument.metavar or str(argument.name).upper()
    if not argument.required:
        name = f"[{name}]"
    return f"{name}..." if argument.nargs == -1 and not name.endswith("...") else name
