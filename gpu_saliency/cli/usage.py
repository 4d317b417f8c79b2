"""Words the usage errors of Typer like the program's own: what is wrong, the nearest right name, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpu_saliency.errors import UsageError, near, shortened

_NUMBERS = {"float": ("a number", "23.5"), "integer": ("a whole number", "5")}


def as_usage_error(error: Any, words: Sequence[str]) -> UsageError:
    """The error of this program for ``error`` of Typer; ``words`` are those of the command line, without the program's name."""
    message: str = error.format_message()
    command = getattr(getattr(error, "ctx", None), "info_name", None)
    cure = "see gpu-saliency --help" if command is None or command not in words else f"see gpu-saliency {command} --help"
    option = getattr(error, "option_name", None)
    if isinstance(option, str) and "No such option" in message:
        return UsageError(f"{shortened(option)}: no such option{near(option, _flags(error))}", cure=cure)
    if message.startswith("No such command"):
        named = words[0] if words else ""
        commands = getattr(getattr(getattr(error, "ctx", None), "command", None), "commands", {})
        return UsageError(f"{shortened(named)}: no such command{near(named, commands)}", cure="see gpu-saliency --help")
    if message.startswith("Missing argument"):
        name = str(getattr(getattr(error, "param", None), "name", "argument")).upper()
        return UsageError(f"{name} is not given", cure=cure)
    flags = getattr(getattr(error, "param", None), "opts", None) or []
    for kind, (what, example) in _NUMBERS.items():
        if flags and (f"valid {kind}" in message or f"valid {'number' if kind == 'float' else kind}" in message):
            return UsageError(f"{_as_given(flags, words)}: is not {what}", cure=f"give {what}, such as {example}")
    if "requires an argument" in message and isinstance(option, str):
        return UsageError(f"{option}: needs a value", cure=cure)
    return UsageError(shortened(message.rstrip(".")), cure=cure)


def _flags(error: Any) -> list[str]:
    """The flags of the command in which ``error`` occurred."""
    command = getattr(getattr(error, "ctx", None), "command", None)
    return [flag for param in getattr(command, "params", ()) for flag in param.opts if flag.startswith("--")]


def _as_given(flags: Sequence[str], words: Sequence[str]) -> str:
    """The flag with the value that was given to it, as on the command line."""
    for number, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in flags:
            return f"{flag} {shortened(value if equals else ''.join(words[number + 1 : number + 2]))}"
    return flags[0]
