"""The options ``--config`` and ``--profile``: what a config file sets takes the place of the defaults of a command."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from gpu_saliency.config.file import Config, Kind, config_path, tables_for
from gpu_saliency.errors import UsageError, setting

_NEVER = frozenset({"src", "output", "out", "sidecar", "export-to", "config", "profile", "help", "overwrite", "ref", "dist"})
"""Options that concern one run, which a file cannot set."""
_GIVES_WAY = {
    "encoder": ("preset", "crf", "encoder-params", "roi-channel", "background"),
    "crf": ("bitrate", "target-vmaf", "target-size", "at-least"),
    "bitrate": ("crf", "target-vmaf", "target-size", "at-least"),
    "target-vmaf": ("crf", "bitrate", "target-size"),
    "target-size": ("crf", "bitrate", "target-vmaf", "at-least"),
    "saliency-offset": ("salient-bits",),
    "salient-bits": ("saliency-offset",),
    "analysis-fps": ("every",),
    "every": ("analysis-fps",),
    "maps": ("saliency-model",),
    "saliency-model": ("maps", "maps-kind"),
    "device": ("gpu", "decoders", "provider"),
}
"""What is given on the command line, or in a stronger table, and what of weaker ones it replaces too."""


@dataclass
class _InUse:
    """The config of the run in this process."""

    path: Path | None = None
    profile: str | None = None
    settings: dict[str, Any] | None = None
    file: Config | None = None
    command: str = ""


in_use = _InUse()


def config_json() -> dict[str, Any] | None:
    """What results say of the config: its path, the profile and the settings that it made; ``None`` where none was read."""
    if in_use.path is None:
        return None
    return {"path": str(in_use.path), "profile": in_use.profile, "settings": in_use.settings or {}}


def origin(name: str) -> str | None:
    """File and line of the config that set the option ``name`` in this run; ``None`` where the config did not."""
    if in_use.file is None or name not in (in_use.settings or {}):
        return None
    return in_use.file.place(tables_for(in_use.command, in_use.profile), name)


def take_config(ctx: typer.Context, value: Path | None) -> Path | None:
    """Callback of ``--config``."""
    ctx.meta["gpu_saliency.config"] = value
    _apply(ctx)
    return value


def take_profile(ctx: typer.Context, value: str | None) -> str | None:
    """Callback of ``--profile``."""
    ctx.meta["gpu_saliency.profile"] = value
    _apply(ctx)
    return value


def _apply(ctx: typer.Context) -> None:
    """Set the defaults of the command once both options are known; they come before all others."""
    if not {"gpu_saliency.config", "gpu_saliency.profile"} <= set(ctx.meta) or ctx.resilient_parsing:
        return
    path, profile = ctx.meta.pop("gpu_saliency.config"), ctx.meta.pop("gpu_saliency.profile")
    in_use.path = in_use.profile = in_use.settings = in_use.file = None
    given = path or config_path()
    if given is None or (path is None and not given.exists()):
        if profile is not None:
            cure = f"give {setting('config')}, or write one with gpu-saliency config init"
            raise UsageError("there is no config file", setting="profile", value=profile, cure=cure)
        return
    command = "encode" if ctx.info_name == "recommend-saliency" else str(ctx.info_name)
    if command == "config":  # it shows what is wrong with the file, or writes one
        return
    config, known = Config.read(given), known_options()
    config.check(known)
    in_use.path, in_use.profile, in_use.file, in_use.command = given, profile, config, command
    names = {_flag(param): str(param.name) for param in ctx.command.params if _flag(param)}
    words = given_options(ctx.command.params, sys.argv[1:])
    in_use.settings = merged(config.settings(command, profile, known), words)
    ctx.default_map = {names[flag]: setting_value for flag, setting_value in in_use.settings.items() if flag in names}


def merged(layers: Sequence[Mapping[str, Any]], given: Iterable[str]) -> dict[str, Any]:
    """The settings of ``layers``, the weakest first, without what the ``given`` options of the command line replace."""
    result: dict[str, Any] = {}
    for layer in layers:
        for name in layer:
            for weaker in _GIVES_WAY.get(name, ()):
                result.pop(weaker, None)
        result |= layer
    for name in given:
        for weaker in (name, *_GIVES_WAY.get(name, ())):
            result.pop(weaker, None)
    return result


def known_options() -> dict[str, dict[str, Kind]]:
    """The options of each command that a file may set."""
    from gpu_saliency.cli import whole_app

    program: Any = typer.main.get_command(whole_app())
    commands = {name: command for name, command in program.commands.items() if name not in ("recommend-saliency", "config")}
    return {
        name: {_flag(param): _kind(param) for param in command.params if _flag(param) and _flag(param) not in _NEVER}
        for name, command in commands.items()
    }


def _flag(param: Any) -> str:
    """The long option without dashes; empty for an argument."""
    return next((flag[2:] for flag in param.opts if flag.startswith("--")), "")


def _kind(param: Any) -> Kind:
    if param.is_flag:
        return "switch"
    if param.multiple:
        return "list"
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None) or getattr(param, "type", None)
    return "number" if any(word in str(kind).lower() for word in ("float", "int")) else "text"


def given_options(params: Iterable[Any], words: Sequence[str]) -> set[str]:
    """The options that are on the command line, as long ones without dashes."""
    flags = {flag: _flag(param) for param in params for flag in param.opts if flag.startswith("-")}
    return {flags[word.partition("=")[0]] for word in words if word.partition("=")[0] in flags}
